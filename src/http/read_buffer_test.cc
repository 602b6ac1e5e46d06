#include "http/read_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace tulle::http {
namespace {

TEST(ReadBuffer, keeps_what_is_in_it_while_it_grows_and_moves) {
  ReadBuffer buffer(8);
  std::string all;
  for (int i = 0; i < 100; ++i) {
    const std::string piece = std::to_string(i * i);
    buffer.append(piece);
    all += piece;
    if (i % 3 == 0) {
      const std::size_t used = std::min<std::size_t>(2, all.size());
      buffer.consume(used);
      all.erase(0, used);
    }
    EXPECT_EQ(buffer.data(), all);
  }
}

TEST(ReadBuffer, has_no_room_beyond_what_it_may_hold) {
  ReadBuffer buffer(8);
  EXPECT_EQ(buffer.room(0).size(), 8U);
  buffer.append("12345678");
  EXPECT_TRUE(buffer.room(8).empty());
  EXPECT_EQ(buffer.room(12).size(), 4U);
}

TEST(ReadBuffer, gives_its_memory_back_only_when_empty) {
  ReadBuffer buffer(8);
  buffer.append("abc");
  buffer.release();
  EXPECT_EQ(buffer.data(), "abc");
  buffer.consume(3);
  buffer.release();
  EXPECT_TRUE(buffer.empty());
  buffer.append("longer than it was");
  EXPECT_EQ(buffer.data(), "longer than it was");
}

}  // namespace
}  // namespace tulle::http
