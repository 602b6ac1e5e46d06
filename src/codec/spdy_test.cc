#include "codec/spdy.h"

#include "codec/spdy_transcript.h"

#include <gtest/gtest.h>

namespace tulle::codec {
namespace {

using std::string_literals::operator""s;

void expect_events(const std::string& wire, std::string_view events,
                   const SpdyLimits& limits = {}) {
  for (const std::size_t step : {wire.size() + 1, std::size_t{1}, std::size_t{3}}) {
    EXPECT_EQ(spdy_transcript(wire, step, limits), events) << "step " << step;
  }
}

// A frame with a payload that nothing here writes.
std::string control(char type, std::string_view payload, char flags = 0) {
  return "\x80\x03\0"s + type + flags + "\0"s + static_cast<char>(payload.size() >> 8) +
         static_cast<char>(payload.size() & 255) + std::string(payload);
}

// What a client of Kubernetes (moby/spdystream 0.5) sends for one connection, in hexadecimal.
constexpr std::string_view kRecorded =
    "800300010000003e0000000100000000000078f9e3c6a7c202253a48f95b044eea160616060c0c0c9c45"
    "90f8ca04a5634603704a2c294a4dcc851636aca9a0a800000000ffff0000000101000000800300010000"
    "001600000003000000000000225333a8a44a04000000ffff800300010000001a00000005000000000000"
    "0249813028473157305402000000ffff0000000300000012474554202f20485454502f312e310d0a0d0a"
    "800300060000000400000001800300030000000800000003000000058003000700000008000000000000"
    "0000";

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (; hex.size() > 1; hex.remove_prefix(2)) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(0, 2)), nullptr, 16));
  }
  return bytes;
}

TEST(Spdy, reads_what_clients_of_kubernetes_send) {
  expect_events(from_hex(kRecorded),
                "open 1 port=8080 requestid=0 streamtype=error\n"
                "data 1  fin\n"
                "open 3 port=8080 requestid=0 streamtype=data\n"
                "open 5 a=x a=y\n"
                "data 3 GET / HTTP/1.1\r\n\r\n\n"
                "ping 1\n"
                "reset 3\n");
}

TEST(Spdy, reads_what_it_writes) {
  SpdyEncoder encoder;
  std::string wire;
  encoder.append_open(wire, 1, {{"streamtype", "error"}, {"port", "8080"}, {"requestid", "0"}});
  encoder.append_open(wire, 3, {{"streamtype", "data"}, {"port", "8080"}, {"requestid", "0"}});
  encoder.append_reply(wire, 3, {});
  append_spdy_data(wire, 3, "GET /", false);
  append_spdy_data(wire, 3, " HTTP/1.1", true);
  append_spdy_data(wire, 5, "", true);
  append_spdy_reset(wire, 3, SpdyReset::cancel);
  append_spdy_ping(wire, 7);
  expect_events(wire,
                "open 1 streamtype=error port=8080 requestid=0\n"
                "open 3 streamtype=data port=8080 requestid=0\n"
                "reply 3\n"
                "data 3 GET / HTTP/1.1 fin\n"
                "data 5  fin\n"
                "reset 3\n"
                "ping 7\n");
}

TEST(Spdy, compresses_all_headers_of_a_connection_as_one_stream) {
  SpdyEncoder encoder;
  std::string first;
  std::string second;
  const Headers headers = {{"streamtype", "data"}, {"port", "8080"}};
  encoder.append_open(first, 1, headers);
  encoder.append_open(second, 3, headers);
  EXPECT_LT(second.size(), first.size());
  EXPECT_EQ(spdy_transcript(second, second.size()),
            "error 0 the header block is malformed or too long\n");
}

TEST(Spdy, passes_over_what_means_nothing_here) {
  std::string wire = control(4, "\0\0\0\0"s) + control(7, "\0\0\0\0\0\0\0\0"s) +
                     control(9, "\0\0\0\1\0\0\1\0"s) + control(11, std::string(300, 'x'));
  append_spdy_ping(wire, 1);
  append_spdy_data(wire, 1, "", false);
  append_spdy_ping(wire, 3);
  expect_events(wire, "ping 1\nping 3\n");
}

TEST(Spdy, lets_a_headers_frame_end_its_stream) {
  SpdyDeflater deflater;
  const std::string block = deflater.write({{"a", "b"}});
  expect_events(control(8, "\0\0\0\5"s + block, 1), "data 5  fin\n");
  expect_events(control(8, "\0\0\0\5"s + block), "");
}

TEST(Spdy, refuses_what_breaks_the_protocol) {
  struct Row {
    std::string wire;
    std::string_view events;
  };
  const Row rows[] = {
      {"\x80\x02\0\1\0\0\0\0"s, "error 0 another version of SPDY\n"},
      {"\0\0\0\0\0\0\0\1x"s, "error 0 a data frame names no stream\n"},
      {control(3, "\0\0\0\1"s), "error 0 a RST_STREAM has another length\n"},
      {control(6, ""), "error 0 a PING has another length\n"},
      {control(1, "\0\0\0\1"s), "error 0 a frame with headers is too short\n"},
      {control(1, "\0\0\0\1\0\0\0\0\0\0not zlib"s),
       "error 0 the header block is malformed or too long\n"},
      {control(2, "\0\0\0\0"s + SpdyDeflater().write({})),
       "error 0 a frame with headers names no stream\n"},
  };
  for (const Row& row : rows) expect_events(row.wire + "more", row.events);
}

TEST(Spdy, keeps_the_limits_of_frames_and_headers) {
  SpdyEncoder encoder;
  std::string wire;
  encoder.append_open(wire, 1, {{"a", std::string(1000, 'x')}});
  expect_events(wire, "open 1 a=" + std::string(1000, 'x') + "\n");
  expect_events(wire, "error 0 the header block is malformed or too long\n",
                {.header_bytes_max = 1000});
  expect_events(wire, "error 0 a control frame is too long\n", {.control_bytes_max = 20});
}

}  // namespace
}  // namespace tulle::codec
