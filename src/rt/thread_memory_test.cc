#include "rt/thread_memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace tulle::rt::detail {
namespace {

TEST(ThreadMemory, gives_what_was_freed_to_the_next_of_its_size) {
  ThreadMemory memory;
  void* const first = memory.allocate(200);
  memory.free(first, 200);
  EXPECT_EQ(memory.allocate(193), first);  // 193 to 256 bytes are one size
  void* const other = memory.allocate(257);
  EXPECT_NE(other, first);
  memory.free(first, 193);
  memory.free(other, 257);
  EXPECT_EQ(memory.allocate(300), other);
  EXPECT_EQ(memory.allocate(256), first);
  ::operator delete(first);
  ::operator delete(other);
}

TEST(ThreadMemory, keeps_no_more_than_its_limit_and_nothing_large) {
  ThreadMemory memory;
  constexpr std::size_t size = 4096;
  std::vector<void*> blocks;
  for (std::size_t i = 0; i < kThreadMemoryKeptMax / size + 10; ++i) {
    blocks.push_back(memory.allocate(size));
    std::memset(blocks.back(), 7, size);
  }
  for (void* const block : blocks) memory.free(block, size);
  EXPECT_EQ(memory.kept(), kThreadMemoryKeptMax);
  void* const large = memory.allocate(100'000);
  memory.free(large, 100'000);
  EXPECT_EQ(memory.kept(), kThreadMemoryKeptMax);
  for (std::size_t i = 0; i < kThreadMemoryKeptMax / size; ++i) {
    ::operator delete(memory.allocate(size));
  }
  EXPECT_EQ(memory.kept(), 0U);
}

}  // namespace
}  // namespace tulle::rt::detail
