#include "codec/http1.h"

#include "codec/http1_transcript.h"

#include <gtest/gtest.h>

namespace tulle::codec {
namespace {

struct Row {
  std::string_view wire;
  std::string_view transcript;
};

constexpr Row good_requests[] = {
    {"GET / HTTP/1.1\r\nHost: hello\r\n\r\n", "GET / 1.1 [Host: hello] none keep-alive\n"},
    {"GET /?a=b|{c}&%20 HTTP/1.0\r\n\r\n", "GET /?a=b|{c}&%20 1.0 none\n"},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
     "GET / 1.0 [Connection: Keep-Alive] none keep-alive\n"},
    {"GET / HTTP/1.1\r\nhost:\r\nX:\t  a b \t\r\nConnection: close\r\n\r\n",
     "GET / 1.1 [host: ] [X: a b] [Connection: close] none\n"},
    {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
     "POST / 1.1 [Host: h] [Content-Length: 3] length 'abc' keep-alive\n"
     "GET /2 1.1 [Host: h] none keep-alive\n"},
    {"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / 1.1 [Host: h] none keep-alive\n"},
    {"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\nExpect: 100-continue\r\n\r\n"
     "3\r\nabc\r\n00A ; x=\"y\"\r\n0123456789\r\n0\r\nTrace: 1\r\n\r\n",
     "PUT / 1.1 [Host: h] [Transfer-Encoding: Chunked] [Expect: 100-continue] chunked "
     "'abc0123456789' [Trace: 1] keep-alive expects-continue\n"},
    {"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "PUT / 1.1 [Host: h] [Transfer-Encoding: chunked] chunked '' keep-alive\n"},
    {"GET /chat HTTP/1.1\r\nHost: h\r\nConnection: x, Upgrade\r\nUpgrade: websocket\r\n\r\n",
     "GET /chat 1.1 [Host: h] [Connection: x, Upgrade] [Upgrade: websocket] none keep-alive "
     "upgrade\n"},
    {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS * 1.1 [Host: h] none keep-alive\n"},
    {"CONNECT hello:80 HTTP/1.1\r\nHost: hello\r\n\r\n",
     "CONNECT hello:80 1.1 [Host: hello] none keep-alive\n"},
    {"CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
     "CONNECT [::1]:80 1.1 [Host: [::1]:80] none keep-alive\n"},
    {"GET http://h:8080/x HTTP/1.1\r\nHost: h:8080\r\n\r\n",
     "GET http://h:8080/x 1.1 [Host: h:8080] none keep-alive\n"},
    {"GET / HTTP/1.1\r\nHost: h\r\nX: \xc3\xa9\r\n\r\n",
     "GET / 1.1 [Host: h] [X: \xc3\xa9] none keep-alive\n"},
    {"GET / HT", "incomplete\n"},
    {"\r", ""},
    {"\r\n", ""},
    {"\r\nG", "incomplete\n"},
    {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc",
     "POST / 1.1 [Host: h] [Content-Length: 5] length truncated 'abc' keep-alive\n"},
};

// Behind "GET / HTTP/1.1\r\n".
constexpr Row bad_fields[] = {
    {"\r\n", "missing_host 400"},
    {"Host: a\r\nhost: a\r\n\r\n", "duplicate_host 400"},
    {"Host: a b\r\n\r\n", "bad_host 400"},
    {"Host: a,b:x\r\n\r\n", "bad_host 400"},
    {"Host: me@a\r\n\r\n", "bad_host 400"},
    {"Host: a/b\r\n\r\n", "bad_host 400"},
    {"Host: [::1\r\n\r\n", "bad_host 400"},
    {"Host: a:123456\r\n\r\n", "bad_host 400"},
    {"Host : a\r\n\r\n", "space_before_colon 400"},
    {"Host\t: a\r\n\r\n", "space_before_colon 400"},
    {": a\r\n\r\n", "empty_field_name 400"},
    {"H\x01: a\r\n\r\n", "bad_name_character 400"},
    {"H(: a\r\n\r\n", "bad_name_character 400"},
    {"H\xc3\xa9: a\r\n\r\n", "bad_name_character 400"},
    {"Host\r\n\r\n", "bad_name_character 400"},
    {" Host: a\r\n\r\n", "obs_fold 400"},
    {"Host: a\r\n b\r\n\r\n", "obs_fold 400"},
    {"Host: a\r\n\tb\r\n\r\n", "obs_fold 400"},
    {"Host: a\n\r\n", "bare_lf 400"},
    {"Host: a\r\n\n", "bare_lf 400"},
    {"Host: a\rb\r\n\r\n", "bare_cr 400"},
    {"Host: a\r\n\rX", "bare_cr 400"},
    {"Host: a\r\nX: b\x01\r\n\r\n", "bad_value_character 400"},
    {"Host: a\r\nX: b\x7f\r\n\r\n", "bad_value_character 400"},
    {{"Host: a\r\nX: 0123456789abcdef\0\r\n\r\n", 31}, "bad_value_character 400"},
    {"Host: a\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\n", "duplicate_content_length 400"},
    {"Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "conflicting_content_length 400"},
    {"Host: a\r\nContent-Length: 1, 1\r\n\r\n", "bad_content_length 400"},
    {"Host: a\r\nContent-Length: +1\r\n\r\n", "bad_content_length 400"},
    {"Host: a\r\nContent-Length: -1\r\n\r\n", "bad_content_length 400"},
    {"Host: a\r\nContent-Length:\r\n\r\n", "bad_content_length 400"},
    {"Host: a\r\nContent-Length: 18446744073709551616\r\n\r\n", "bad_content_length 400"},
    {"Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
     "length_with_chunked 400"},
    {"Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
     "duplicate_transfer_encoding 400"},
    {"Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "unsupported_transfer_coding 501"},
    {"Host: a\r\nTransfer-Encoding: xchunked\r\n\r\n", "unsupported_transfer_coding 501"},
    {"Host: a\r\nTransfer-Encoding:\r\n\r\n", "unsupported_transfer_coding 501"},
    {"Host: a\r\nTransfer-Encoding: chunked,\r\n\r\n", "unsupported_transfer_coding 501"},
};

constexpr Row bad_start_lines[] = {
    {" GET / HTTP/1.1\r\n", "bad_method 400"},
    {"G(T / HTTP/1.1\r\n", "bad_method 400"},
    {"GET\t/ HTTP/1.1\r\n", "bad_method 400"},
    {"\x16\x03\x01\x02", "bad_method 400"},
    {"\nGET / HTTP/1.1\r\n", "bare_lf 400"},
    {"\rGET / HTTP/1.1\r\n", "bare_cr 400"},
    {"THISMETHODISMUCHTOOLONGTOBEHONESTREALLY / HTTP/1.1\r\n", "method_too_long 501"},
    {"GET  / HTTP/1.1\r\n", "bad_target_character 400"},
    {"GET /a#b HTTP/1.1\r\n", "bad_target_character 400"},
    {"GET /\xc3\xa9 HTTP/1.1\r\n", "bad_target_character 400"},
    {"GET /\x01 HTTP/1.1\r\n", "bad_target_character 400"},
    {"GET /a\tb HTTP/1.1\r\n", "bad_target_character 400"},
    {"GET /a b HTTP/1.1\r\n", "bad_version 400"},
    {"GET /\r\n", "bad_version 400"},
    {"GET / HTTP/1.1 \r\n", "bad_version 400"},
    {"GET / http/1.1\r\n", "bad_version 400"},
    {"GET / HTTP/1.10\r\n", "bad_version 400"},
    {"GET / HTTP/1.1\n", "bare_lf 400"},
    {"GET / HTTP/1.1\rX", "bare_cr 400"},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "unsupported_version 505"},
    {"GET / HTTP/0.9\r\n", "unsupported_version 505"},
    {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target_form 400"},
    {"GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target_form 400"},
    {"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target_form 400"},
    {"GET http://u@h/x HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target_form 400"},
    {"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target_form 400"},
    {"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target_form 400"},
    {"CONNECT a: HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target_form 400"},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "transfer_encoding_in_http_1_0 400"},
};

// Behind the head of a chunked request.
constexpr Row bad_chunks[] = {
    {"x\r\n", "bad_chunk_size 400"},
    {"\r\n", "bad_chunk_size 400"},
    {"-1\r\n", "bad_chunk_size 400"},
    {"0x1\r\n", "bad_chunk_size 400"},
    {"1 2\r\n", "bad_chunk_size 400"},
    {"8000000000000000\r\n", "bad_chunk_size 400"},
    {"00000000000000001\r\n", "bad_chunk_size 400"},
    {"1\na\r\n", "bare_lf 400"},
    {"1;a\nb\r\n", "bare_lf 400"},
    {"1\rX", "bare_cr 400"},
    {"1;\x01\r\n", "bad_chunk_extension 400"},
    {"1\r\nabc", "bad_chunk_end 400"},
    {"1\r\na\n", "bad_chunk_end 400"},
    {"1\r\na\rx", "bad_chunk_end 400"},
    {"0\r\nContent-Length: 3\r\n\r\n", "forbidden_trailer 400"},
    {"0\r\nHost: x\r\n\r\n", "forbidden_trailer 400"},
    {"0\r\nAuthorization: Basic eA==\r\n\r\n", "forbidden_trailer 400"},
    {"0\r\ncookie: a=b\r\n\r\n", "forbidden_trailer 400"},
    {"0\r\nX-Sum: 1\r\nConnection: x\r\n\r\n", "forbidden_trailer 400"},
    {"0\r\nbad name: x\r\n\r\n", "space_before_colon 400"},
    {"0\r\n\n", "bare_lf 400"},
};

constexpr Row responses[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 404 Not Found\r\n"
     "Content-Length: 0\r\n\r\n",
     "200 OK 1.1 [Content-Length: 2] length 'hi' keep-alive\n"
     "404 Not Found 1.1 [Content-Length: 0] length '' keep-alive\n"},
    {"HTTP/1.0 200 OK\r\n\r\nall of it", "200 OK 1.0 until_close closed 'all of it'\n"},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 \r\n\r\n",
     "100 Continue 1.1 none keep-alive\n204  1.1 none keep-alive\n"},
    {"HTTP/1.1 204\r\n\r\n", "204  1.1 none keep-alive\n"},
    {"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\nbytes",
     "101 Switching 1.1 [Upgrade: x] tunnel closed 'bytes' keep-alive\n"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
     "200 OK 1.1 [Transfer-Encoding: chunked] chunked 'hi' keep-alive\n"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n",
     "200 OK 1.1 [Transfer-Encoding: chunked] chunked truncated 'hi' keep-alive\n"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
     "error length_with_chunked 400\n"},
    {"HTTP/1.1 099 X\r\n", "error bad_status 400\n"},
    {"HTTP/1.1 20 OK\r\n", "error bad_status 400\n"},
    {"HTTP/1.1 2000 OK\r\n", "error bad_status 400\n"},
    {"HTTP/1.1  200 OK\r\n", "error bad_status 400\n"},
    {"HTTP/2.0 200 OK\r\n", "error unsupported_version 505\n"},
    {"HTTP/1.1\r\n", "error bad_version 400\n"},
    {"ICY 200 OK\r\n", "error bad_version 400\n"},
    {"HTTP/1.1 200 O\x01K\r\n", "error bad_reason_character 400\n"},
    {"HTTP/1.1 200 OK\n", "error bare_lf 400\n"},
    {"HTTP/1.1 200 OK\rX", "error bare_cr 400\n"},
};

std::string requests(std::string_view wire, std::size_t step, const Http1Limits& limits = {}) {
  return Http1Transcript(wire, step, limits).requests();
}

void expect_requests(std::string_view wire, std::string_view transcript) {
  for (const std::size_t step : {wire.size(), std::size_t{1}, std::size_t{3}}) {
    EXPECT_EQ(requests(wire, step), transcript) << wire << "\nstep " << step;
  }
}

TEST(RequestParser, reads_good_requests_however_they_are_cut) {
  for (const auto& [wire, transcript] : good_requests) expect_requests(wire, transcript);
}

TEST(RequestParser, names_what_is_wrong_with_a_field) {
  for (const auto& [fields, reason] : bad_fields) {
    expect_requests("GET / HTTP/1.1\r\n" + std::string(fields),
                    "error " + std::string(reason) + "\n");
  }
}

TEST(RequestParser, names_what_is_wrong_with_a_start_line) {
  for (const auto& [wire, reason] : bad_start_lines) {
    expect_requests(wire, "error " + std::string(reason) + "\n");
  }
}

TEST(BodyDecoder, names_what_is_wrong_with_a_chunk) {
  const std::string head = "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const auto& [chunks, reason] : bad_chunks) {
    const std::string wire = head + std::string(chunks);
    const std::string whole = requests(wire, wire.size());
    EXPECT_NE(whole.find("error " + std::string(reason)), std::string::npos) << wire << whole;
    EXPECT_EQ(whole, requests(wire, 1));
  }
}

TEST(ResponseParser, reads_responses_however_they_are_cut) {
  for (const auto& [wire, transcript] : responses) {
    for (const std::size_t step : {wire.size(), std::size_t{1}}) {
      EXPECT_EQ(Http1Transcript(wire, step).responses("GET"), transcript) << wire;
    }
  }
}

TEST(RequestParser, takes_as_much_as_its_limits_say_and_no_byte_more) {
  const std::string head = "GET /1234 HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n";
  const std::string chunked =
      "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;ab\r\nx\r\n0;c\r\nT: "
      "1\r\n\r\n";
  const struct {
    const std::string& wire;
    Http1Limits fits;
    Http1Limits too_small;
    std::string_view reason;
  } rows[] = {
      {head, {.method_bytes_max = 3}, {.method_bytes_max = 2}, "method_too_long 501"},
      {head, {.target_bytes_max = 5}, {.target_bytes_max = 4}, "target_too_long 414"},
      {head,
       {.head_bytes_max = head.size()},
       {.head_bytes_max = head.size() - 1},
       "head_too_large 431"},
      {head, {.fields_max = 2}, {.fields_max = 1}, "too_many_fields 431"},
      {chunked, {.trailer_bytes_max = 8}, {.trailer_bytes_max = 7}, "trailers_too_large 431"},
      {chunked,
       {.chunk_extension_bytes_max = 5},
       {.chunk_extension_bytes_max = 4},
       "chunk_extension_too_large 400"},
  };
  for (const auto& row : rows) {
    for (const std::size_t step : {row.wire.size(), std::size_t{1}}) {
      EXPECT_EQ(requests(row.wire, step, row.fits), requests(row.wire, step));
      const std::string text = requests(row.wire, step, row.too_small);
      EXPECT_NE(text.find(row.reason), std::string::npos) << text;
    }
  }
}

TEST(RequestParser, reads_a_large_head_byte_by_byte_in_linear_time) {
  // 60 KB in 60,000 calls: a parser that began anew each time would look at 1.8 GB.
  std::string wire = "GET / HTTP/1.1\r\nHost: h\r\nCookie: ";
  wire.append(60'000, 'x').append("\r\n\r\n");
  RequestParser parser;
  RequestHead head;
  for (std::size_t size = 1; size < wire.size(); ++size) {
    ASSERT_EQ(parser.parse(std::string_view(wire).substr(0, size), head).outcome,
              HeadResult::Outcome::incomplete);
  }
  EXPECT_EQ(parser.parse(wire, head).consumed, wire.size());
  EXPECT_EQ(head.headers.get("cookie")->size(), 60'000U);
}

TEST(RequestParser, is_ready_for_the_next_head_after_a_good_and_a_bad_one) {
  RequestParser parser;
  RequestHead head;
  const std::string_view good = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  EXPECT_EQ(parser.parse(good, head).outcome, HeadResult::Outcome::complete);
  EXPECT_FALSE(parser.started());
  EXPECT_EQ(parser.parse("GET / HTTP/1.1\r\n\r\n", head).reason, Http1Reason::missing_host);
  EXPECT_EQ(parser.parse(good.substr(0, 5), head).outcome, HeadResult::Outcome::incomplete);
  EXPECT_TRUE(parser.started());
  EXPECT_EQ(parser.parse(good, head).outcome, HeadResult::Outcome::complete);
}

TEST(BodyDecoder, hands_out_views_of_its_input_and_stops_at_the_end) {
  BodyDecoder decoder({.kind = BodyFraming::Kind::length, .length = 5});
  const std::string_view in = "helloNEXT";
  EXPECT_EQ(decoder.remaining_length(), 5U);
  const BodyStep step = decoder.decode(in);
  EXPECT_EQ(step.data.data(), in.data());
  EXPECT_EQ(step.consumed, 5U);
  EXPECT_TRUE(step.done);
  EXPECT_EQ(decoder.decode("NEXT").consumed, 0U);
}

TEST(Encoders, write_what_the_parsers_read) {
  const std::string request = "POST /a?b HTTP/1.1\r\nHost: h\r\nX-Empty: \r\n\r\n";
  const std::string response = "HTTP/1.0 418 Teapot\r\nA: b\r\na: c\r\n\r\n";
  RequestHead request_head;
  ResponseHead response_head;
  ASSERT_EQ(RequestParser().parse(request, request_head).consumed, request.size());
  ASSERT_EQ(ResponseParser().parse(response, response_head).consumed, response.size());
  std::string out = "before ";
  append_request_head(out, request_head);
  append_response_head(out, response_head);
  EXPECT_EQ(out, "before " + request + response);
}

TEST(Encoders, let_nothing_break_out_of_its_place) {
  std::string out;
  append_request_head(out, {.method = "GET", .target = "/a b\r\nX: y#\xc3"});
  append_request_head(out, {.method = "GET", .target = ""});
  append_response_head(out, {.status = 200, .reason = "a\r\nb", .minor_version = 7});
  append_response_head(out, {.status = 404});
  EXPECT_EQ(out,
            "GET /a%20b%0D%0AX:%20y%23%C3 HTTP/1.1\r\n\r\n"
            "GET / HTTP/1.1\r\n\r\n"
            "HTTP/1.1 200 a  b\r\n\r\n"
            "HTTP/1.1 404 Not Found\r\n\r\n");
}

TEST(Encoders, frame_chunks_that_the_decoder_joins) {
  std::string out;
  append_chunk_header(out, 26);
  out += "abcdefghijklmnopqrstuvwxyz";
  append_chunk_end(out);
  std::string plain = out;
  append_last_chunk(plain);
  EXPECT_EQ(plain, "1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n");
  append_last_chunk(out, {{"Grpc-Status", "0"}});
  BodyDecoder decoder({.kind = BodyFraming::Kind::chunked});
  BodyStep step = decoder.decode(out);
  EXPECT_EQ(step.data, "abcdefghijklmnopqrstuvwxyz");
  EXPECT_TRUE(decoder.decode(std::string_view(out).substr(step.consumed)).done);
  EXPECT_EQ(decoder.trailers().get("grpc-status"), "0");
}

}  // namespace
}  // namespace tulle::codec
