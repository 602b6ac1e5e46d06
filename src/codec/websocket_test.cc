#include "codec/websocket.h"

#include "codec/utf8.h"
#include "codec/websocket_transcript.h"

#include <gtest/gtest.h>

namespace tulle::codec {
namespace {

using Role = WebSocketDecoder::Role;
using std::string_literals::operator""s;

constexpr WebSocketMask mask = {0x37, 0xfa, 0x21, 0x3d};

std::string frame(WebSocketOpcode opcode, std::string_view payload, bool fin = true) {
  std::string out;
  append_websocket_frame(out, {.opcode = opcode, .fin = fin}, payload);
  return out;
}

void expect_events(const std::string& wire, std::string_view events) {
  for (const std::size_t step : {wire.size() + 1, std::size_t{1}, std::size_t{3}}) {
    EXPECT_EQ(websocket_transcript(Role::client, wire, step), events) << "step " << step;
  }
}

TEST(WebSocket, accepts_the_handshake_of_the_rfc) {
  EXPECT_EQ(*websocket_accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_FALSE(websocket_accept_key("dGhlIHNhbXBsZSBub25jZQ="));
  EXPECT_FALSE(websocket_accept_key("dGhl"));
  EXPECT_FALSE(websocket_accept_key(""));
  EXPECT_EQ(websocket_key({}), "AAAAAAAAAAAAAAAAAAAAAA==");
}

TEST(WebSocket, writes_the_frames_of_the_rfc) {
  EXPECT_EQ(frame(WebSocketOpcode::text, "Hello"), "\x81\x05Hello");
  std::string masked;
  append_websocket_frame(masked, {.opcode = WebSocketOpcode::text, .mask = mask}, "Hello");
  EXPECT_EQ(masked, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
  EXPECT_EQ(websocket_transcript(Role::server, masked, 1), "message text 'Hello'\n");
  EXPECT_EQ(frame(WebSocketOpcode::binary, std::string(256, 'x')).substr(0, 4), "\x82\x7e\x01\0"s);
  EXPECT_EQ(frame(WebSocketOpcode::binary, std::string(65536, 'x')).substr(0, 10),
            "\x82\x7f\0\0\0\0\0\x01\0\0"s);
}

TEST(WebSocket, reads_payloads_of_every_length_form) {
  for (const std::size_t size : {0, 1, 125, 126, 127, 65535, 65536, 70000}) {
    const std::string payload(size, 'x');
    std::string wire;
    append_websocket_frame(wire, {.mask = mask}, payload);
    WebSocketDecoder decoder(Role::server);
    const WebSocketStep step = decoder.decode(wire);
    EXPECT_EQ(step.consumed, wire.size());
    EXPECT_EQ(step.event.kind, WebSocketEvent::Kind::message);
    EXPECT_EQ(step.event.payload, payload);
  }
}

TEST(WebSocket, joins_fragments_and_lets_control_frames_between_them) {
  expect_events(frame(WebSocketOpcode::text, "a", false) + frame(WebSocketOpcode::ping, "p") +
                    frame(WebSocketOpcode::continuation, "", false) +
                    frame(WebSocketOpcode::continuation, "b") + frame(WebSocketOpcode::pong, "") +
                    frame(WebSocketOpcode::binary, "c") +
                    frame(WebSocketOpcode::close, "\x03\xe8ok") +
                    frame(WebSocketOpcode::ping, "after the end"),
                "ping 'p'\nmessage text 'ab'\npong\nmessage binary 'c'\nclose 1000 'ok'\n");
}

TEST(WebSocket, refuses_what_the_protocol_forbids) {
  const struct {
    std::string wire;
    std::string_view event;
  } rows[] = {
      {"\xc1\x00"s, "error 1002 a reserved bit is set\n"},
      {"\x83\x00"s, "error 1002 unknown opcode\n"},
      {"\x8b\x00"s, "error 1002 unknown opcode\n"},
      {"\x81\x80"s, "error 1002 the server masked a frame\n"},
      {"\x09\x00"s, "error 1002 a control frame is fragmented\n"},
      {"\x89\x7e\x00\x7e"s, "error 1002 a control frame is too long\n"},
      {"\x80\x00"s, "error 1002 a continuation of no message\n"},
      {"\x01\x00\x81\x00"s, "error 1002 a message begins within another\n"},
      {"\x82\x7e\x00\x7d"s, "error 1002 a length in the wrong form\n"},
      {"\x82\x7f\0\0\0\0\0\0\xff\xff"s, "error 1002 a length in the wrong form\n"},
      {"\x82\x7f\x80\0\0\0\0\0\0\0"s, "error 1002 a length in the wrong form\n"},
      {"\x82\x7f\x70\0\0\0\0\0\0\0"s, "error 1009 the message is too long\n"},
      {"\x88\x01\x03"s, "error 1002 half a close code\n"},
      {"\x88\x02\x03\xed"s, "error 1002 no valid close code\n"},
      {"\x88\x02\0\0"s, "error 1002 no valid close code\n"},
      {"\x88\x03\x03\xe8\xff"s, "error 1007 a close reason is not UTF-8\n"},
      {"\x81\x02\xc3("s, "error 1007 a text message is not UTF-8\n"},
      {"\x88\x00"s, "close\n"},
  };
  for (const auto& row : rows) expect_events(row.wire, row.event);
  EXPECT_EQ(websocket_transcript(Role::server, "\x81\x00"s, 9),
            "error 1002 the client did not mask a frame\n");
}

TEST(WebSocket, holds_no_more_of_a_message_than_its_limits) {
  const std::string wire =
      frame(WebSocketOpcode::binary, "abc", false) + frame(WebSocketOpcode::continuation, "de");
  const auto events = [&](const WebSocketLimits& limits) {
    return websocket_transcript(Role::client, wire, 1, limits);
  };
  EXPECT_EQ(events({.message_bytes_max = 5}), "message binary 'abcde'\n");
  EXPECT_EQ(events({.message_bytes_max = 4}), "error 1009 the message is too long\n");
  EXPECT_EQ(events({.fragments_max = 2}), "message binary 'abcde'\n");
  EXPECT_EQ(events({.fragments_max = 1}), "error 1008 the message has too many fragments\n");
}

TEST(WebSocket, cuts_a_close_reason_between_characters) {
  std::string wire;
  std::string reason(122, 'x');
  append_websocket_close(wire, WebSocketClose::going_away, reason + "\xc3\xa9");
  append_websocket_close(wire, WebSocketClose::no_status, "not sent");
  EXPECT_EQ(wire, "\x88\x7c\x03\xe9" + reason + "\x88\x00"s);
}

TEST(Utf8, knows_its_own) {
  for (const std::string& good : {""s, "a\x7f"s, "\xc2\x80"s, "\xe0\xa0\x80"s, "\xed\x9f\xbf"s,
                                  "\xf0\x90\x80\x80"s, "\xf4\x8f\xbf\xbf"s, "\0"s}) {
    EXPECT_TRUE(is_utf8(good)) << good;
  }
  for (const std::string_view bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
                                     "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                                     "\xc3", "\xe2\x82", "a\xff", "\xc3(", "\xf0\x9f\x92"}) {
    EXPECT_FALSE(is_utf8(bad)) << bad;
  }
  EXPECT_EQ(utf8_prefix("a\xc3\xa9", 2), "a");
  EXPECT_EQ(utf8_prefix("a\xc3\xa9", 3), "a\xc3\xa9");
}

}  // namespace
}  // namespace tulle::codec
