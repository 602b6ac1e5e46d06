#include "codec/http2_header_block.h"

#include <gtest/gtest.h>

#include <string>

namespace tulle::codec {
namespace {

struct Frame {
  char type;
  char flags;
  std::size_t length;
};

constexpr char data = 0, headers = 1, settings = 4, continuation = 9;
constexpr char end_stream = 1, end_headers = 4;

std::string frame(const Frame& frame) {
  std::string bytes;
  for (const int shift : {16, 8, 0}) bytes.push_back(static_cast<char>(frame.length >> shift));
  bytes += {frame.type, frame.flags, 0, 0, 0, 1};
  return bytes + std::string(frame.length, '\5');
}

TEST(Http2HeaderBlock, is_open_from_a_head_to_the_end_of_its_last_frame) {
  const struct {
    std::vector<Frame> frames;
    bool open;  // behind them
  } rows[] = {
      {{}, false},
      {{{settings, 0, 12}}, false},
      {{{data, end_headers, 5}}, false},
      {{{headers, end_headers, 20}}, false},
      {{{headers, end_headers, 0}}, false},
      {{{headers, end_headers | end_stream, 70'000}}, false},
      {{{headers, 0, 20}}, true},
      {{{headers, end_stream, 0}}, true},
      {{{headers, 0, 20}, {continuation, 0, 20}}, true},
      {{{headers, 0, 20}, {continuation, 0, 0}, {continuation, end_headers, 1}}, false},
      {{{headers, 0, 20}, {continuation, end_headers, 0}}, false},
      {{{headers, 0, 2}, {continuation, end_headers, 2}, {headers, 0, 2}}, true},
      {{{headers, end_headers, 2}, {data, end_stream, 9}}, false},
  };
  constexpr std::size_t preface = 24;
  for (const auto& row : rows) {
    std::string bytes(preface, '\1');
    for (const Frame& each : row.frames) bytes += frame(each);
    Http2HeaderBlock whole(preface);
    whole.see(bytes);
    EXPECT_EQ(whole.open(), row.open);
    Http2HeaderBlock cut(preface);
    for (std::size_t i = 0; i < bytes.size(); ++i) cut.see(std::string_view(bytes).substr(i, 1));
    EXPECT_EQ(cut.open(), row.open);
  }
}

TEST(Http2HeaderBlock, is_open_within_a_frame_that_would_end_it) {
  Http2HeaderBlock block(0);
  const std::string bytes = frame({headers, end_headers, 3});
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    block.see(std::string_view(bytes).substr(i, 1));
    const bool within = i + 1 >= 9 && i + 1 < bytes.size();
    EXPECT_EQ(block.open(), within) << i;
  }
}

}  // namespace
}  // namespace tulle::codec
