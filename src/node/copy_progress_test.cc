#include "node/copy_progress.h"

#include "http/test_wire.h"

#include <gtest/gtest.h>

namespace tulle::node {
namespace {

constexpr Duration kSilence = std::chrono::milliseconds(200);

// Pieces of a program's output, each of which takes its time to be handed on.
struct Copying : http::Sim {
  static rt::Task<void> copy(Copying& self, Duration each, int pieces) {
    for (int i = 0; i < pieces; ++i) {
      const CopyProgress::Piece piece(self.progress);
      co_await rt::sleep(self.loop, each);
    }
    ++self.handed_on;
    if (self.held_open) co_await rt::sleep(self.loop, std::chrono::hours(1));
  }
  // How long it took until all was said to be there.
  Duration wait() {
    const Instant begin = loop.now();
    loop.run(copied_or_silent(copies, progress, kSilence));
    return loop.now() - begin;
  }

  CopyProgress progress;
  bool held_open = false;
  int handed_on = 0;
  rt::Scope copies{loop};
};

TEST(CopyProgress, ends_with_the_copies) {
  Copying copying;
  copying.copies.spawn(Copying::copy(copying, std::chrono::milliseconds(10), 3));
  EXPECT_EQ(copying.wait(), std::chrono::milliseconds(30));
}

TEST(CopyProgress, waits_for_who_is_slow_to_take_a_piece) {
  Copying copying;
  copying.copies.spawn(Copying::copy(copying, std::chrono::seconds(10), 2));
  EXPECT_EQ(copying.wait(), std::chrono::seconds(20));
  EXPECT_EQ(copying.handed_on, 1);
}

TEST(CopyProgress, does_not_wait_for_streams_that_are_only_held_open) {
  Copying copying;
  copying.held_open = true;
  copying.copies.spawn(Copying::copy(copying, std::chrono::milliseconds(150), 3));
  EXPECT_GE(copying.wait(), std::chrono::milliseconds(450) + kSilence / 2);
  EXPECT_LE(copying.wait(), 2 * kSilence);
  EXPECT_EQ(copying.handed_on, 1);
}

}  // namespace
}  // namespace tulle::node
