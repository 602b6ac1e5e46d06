// The HTTP/1.1 wire format, RFC 9112: bytes in, heads and body pieces out; heads in, bytes out.
//
// No I/O, no clock. The reader of a connection goes, for each message:
//
//   RequestParser parser(limits);
//   for (;;) {
//     HeadResult result = parser.parse(buffered, head);    // `buffered` begins at the head
//     if (result.outcome == HeadResult::Outcome::complete) { drop result.consumed bytes; break; }
//     if (result.outcome == HeadResult::Outcome::error) return suggested_status(result.reason);
//     read more behind what is buffered;
//   }
//   BodyDecoder body(body_framing(head), limits);
//   while (!body.done()) { BodyStep step = body.decode(buffered); use step.data; drop
//     step.consumed; if it was 0, read more }
//
// Parsers are strict where leniency lets two readers see two different messages (request
// smuggling): each such message ends in an error with a name of its own.
#pragma once

#include "codec/http_message.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::codec {

// Every limit is the largest value allowed. REQUIRES: head_bytes_max < 2^31.
struct Http1Limits {
  std::size_t method_bytes_max = 32;
  std::size_t target_bytes_max = 8 * 1024;
  std::size_t head_bytes_max = 64 * 1024;  // start line and fields, with their line ends
  std::size_t fields_max = 128;            // in a head, and again in the trailers
  std::size_t trailer_bytes_max = 16 * 1024;
  std::size_t chunk_extension_bytes_max = 16 * 1024;  // over all chunks of a body
};

// Why a message was refused.
enum class Http1Reason : std::uint8_t {
  ok,
  bad_method,                // not a token
  method_too_long,           //
  bad_target_character,      // space, control, '#', or not ASCII
  bad_target_form,           // RFC 9112 §3.2: not the form that the method takes
  target_too_long,           //
  bad_version,               // not HTTP/d.d
  unsupported_version,       // HTTP, but not 1.x
  bad_status,                // not three digits from 100 on
  bad_reason_character,      //
  head_too_large,            //
  too_many_fields,           //
  empty_field_name,          //
  bad_name_character,        //
  space_before_colon,        //
  obs_fold,                  // a field line that goes on in the next
  bad_value_character,       // a control character
  bare_cr,                   // CR without LF
  bare_lf,                   // LF without CR
  missing_host,              // in HTTP/1.1
  duplicate_host,            //
  bad_host,                  //
  bad_content_length,        //
  duplicate_content_length,  // even if equal
  conflicting_content_length,
  length_with_chunked,            // Content-Length beside Transfer-Encoding
  duplicate_transfer_encoding,    //
  unsupported_transfer_coding,    // anything but chunked
  transfer_encoding_in_http_1_0,  //
  bad_chunk_size,                 // not hexadecimal, or above 2^63
  bad_chunk_extension,            //
  chunk_extension_too_large,      //
  bad_chunk_end,                  // chunk data not followed by CRLF
  trailers_too_large,             //
  forbidden_trailer,              // framing or routing in trailers, RFC 9110 §6.5.1
};

// The snake_case name of a reason, for logs, metrics and bodies of error responses.
std::string_view name(Http1Reason reason);

// The status a server answers with: 400, 414, 431, 501 or 505. A proxy that reads a response so
// answers 502 instead.
int suggested_status(Http1Reason reason);

struct HeadResult {
  enum class Outcome : std::uint8_t { incomplete, complete, error };
  Outcome outcome = Outcome::incomplete;
  std::size_t consumed = 0;              // when complete: bytes of the head
  Http1Reason reason = Http1Reason::ok;  // when error
};

// The state that both head parsers and the trailer parser share: reads field lines up to and with
// the empty line. Each byte is looked at once, however the input was cut.
class FieldScanner final {
 public:
  enum class Outcome : std::uint8_t { incomplete, complete, error };

  // Begins at `offset` of the inputs to come.
  void start(std::size_t offset);
  // Goes on in `in`, which holds what earlier calls saw and more behind it. Looks no further than
  // `in` reaches.
  Outcome scan(std::string_view in, std::size_t fields_max);

  std::size_t position() const { return position_; }
  Http1Reason reason() const { return reason_; }
  // Puts the fields, which lie in `in`, into `headers`. REQUIRES: scan() said complete.
  void store(std::string_view in, Headers& headers) const;

 private:
  enum class State : std::uint8_t { line_start, name, before_value, value, value_lf, last_lf };

  Outcome fail(Http1Reason reason);
  Http1Reason start_line(char byte);
  Http1Reason end_name(char byte);
  Http1Reason end_value(std::string_view in, std::size_t end);

  State state_ = State::line_start;
  Http1Reason reason_ = Http1Reason::ok;
  std::size_t start_ = 0;
  std::size_t position_ = 0;
  std::size_t mark_ = 0;                // where the name or value in hand begins
  std::vector<Headers::Field> fields_;  // offsets from start_
};

// Reads one request head. Empty lines before it are skipped (RFC 9112 §2.2) and count as its
// bytes. The parser may be used for any number of heads, one after the other.
class RequestParser final {
 public:
  explicit RequestParser(const Http1Limits& limits = {});

  // `in` begins at the head and holds all bytes of earlier incomplete calls, which are not read
  // again; it may have moved in memory. `head` is written when the outcome is complete, may hold
  // anything after an error, and is not touched else. Complete and error both make the parser ready
  // for the next head.
  HeadResult parse(std::string_view in, RequestHead& head);

  // Forgets a head that was begun.
  void reset();
  // Whether bytes of a head have been seen, empty lines before it apart: tells an idle connection
  // from a stalled one.
  bool started() const { return state_ != State::method || position_ > mark_; }

 private:
  enum class State : std::uint8_t { method, target, version, version_lf, fields };

  HeadResult error(Http1Reason reason);
  Http1Reason scan_start_line(std::string_view in);
  Http1Reason scan_method(std::string_view in);
  Http1Reason scan_target(std::string_view in);
  Http1Reason scan_version(std::string_view in);

  Http1Limits limits_;
  State state_ = State::method;
  std::size_t position_ = 0;
  std::size_t mark_ = 0;
  Headers::Field line_;  // name: the method, value: the target
  int minor_version_ = 1;
  FieldScanner fields_;
};

// Reads one response head; as RequestParser. A missing space before an empty reason is accepted,
// since many servers leave it out and nothing can be hidden in it.
class ResponseParser final {
 public:
  explicit ResponseParser(const Http1Limits& limits = {});

  HeadResult parse(std::string_view in, ResponseHead& head);
  void reset();
  bool started() const { return state_ != State::version || position_ > 0; }

 private:
  enum class State : std::uint8_t { version, status, before_reason, reason, reason_lf, fields };

  HeadResult error(Http1Reason reason);
  Http1Reason scan_start_line(std::string_view in);
  Http1Reason scan_status(std::string_view in);
  Http1Reason scan_reason(std::string_view in);

  Http1Limits limits_;
  State state_ = State::version;
  std::size_t position_ = 0;
  std::size_t mark_ = 0;
  Headers::Field line_;  // value: the reason
  int minor_version_ = 1;
  int status_ = 0;
  FieldScanner fields_;
};

struct BodyStep {
  std::size_t consumed = 0;              // drop that many bytes of the input
  std::string_view data = {};            // a part of the input; may be empty
  bool done = false;                     // the body has ended; the next message begins behind
  Http1Reason reason = Http1Reason::ok;  // else the body is broken: close the connection
};

// Reads one body. Bytes are consumed as they come: what decode() took need not be shown again.
class BodyDecoder final {
 public:
  explicit BodyDecoder(BodyFraming framing = {}, const Http1Limits& limits = {});

  // Begins the next body, as if made anew; keeps its memory.
  void start(BodyFraming framing, const Http1Limits& limits);

  // Takes as much as makes one piece of data: call again, with what is left, until done, or until
  // a call consumes nothing, which means that more input is needed. Framings until_close and
  // tunnel hand on everything and are never done here.
  BodyStep decode(std::string_view in);

  bool done() const { return state_ == State::done; }

  // The peer has closed. Whether the body was complete; false is a truncated message.
  bool finish();

  // Bytes of a length body still to come; 0 for every other framing.
  std::uint64_t remaining_length() const { return state_ == State::length ? remaining_ : 0; }

  // What followed a chunked body. Empty until done.
  const Headers& trailers() const { return trailers_; }

 private:
  enum class State : std::uint8_t {
    length,
    until_close,
    chunk_size,
    chunk_size_space,
    chunk_extension,
    chunk_size_lf,
    chunk_data,
    chunk_data_cr,
    chunk_data_lf,
    trailers,
    done,
    failed,
  };

  BodyStep fail(Http1Reason reason);
  BodyStep take_data(std::string_view in, std::size_t offset, State next);
  BodyStep read_trailers(std::string_view in, std::size_t offset);
  Http1Reason read_framing_byte(unsigned char byte);
  Http1Reason read_chunk_size(unsigned char byte);
  Http1Reason read_chunk_extension(unsigned char byte);

  Http1Limits limits_;
  State state_ = State::done;
  Http1Reason reason_ = Http1Reason::ok;
  std::uint64_t remaining_ = 0;
  std::size_t size_digits_ = 0;  // of the chunk size in hand
  std::size_t extension_bytes_ = 0;
  std::string trailer_bytes_;
  FieldScanner trailer_fields_;
  Headers trailers_;
};

// Append a head with its empty line. Framing fields are the caller's: what stands in `headers` is
// what goes out. Bytes of a target that may not stand there are percent-encoded, and control
// characters of a reason become spaces. REQUIRES: is_token(method), 100 <= status <= 999.
void append_request_head(std::string& out, const RequestHead& head);
void append_response_head(std::string& out, const ResponseHead& head);

// A chunk is: header, `size` bytes of data, end. REQUIRES: size > 0, since 0 ends the body.
void append_chunk_header(std::string& out, std::uint64_t size);
void append_chunk_end(std::string& out);
// Ends a chunked body.
void append_last_chunk(std::string& out);
void append_last_chunk(std::string& out, const Headers& trailers);

}  // namespace tulle::codec
