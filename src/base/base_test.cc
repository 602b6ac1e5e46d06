#include "base/log.h"
#include "base/random.h"
#include "base/result.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>

namespace tulle {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return fail(Code::invalid_argument, "odd");
  return value / 2;
}

Result<int> quarter(int value) {
  TRY(const int once, half(value));
  TRY(const int twice, half(once));
  return twice;
}

TEST(Result, try_hands_on_the_first_error_and_else_the_value) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).error().message, "odd");
  EXPECT_EQ(quarter(5).error().code, Code::invalid_argument);
}

TEST(Error, of_the_operating_system_keeps_errno_and_says_what_failed) {
  const Error error = os_error(ECONNREFUSED, "connect 127.0.0.1:1").context("dialing hello");
  EXPECT_EQ(error.code, Code::refused);
  EXPECT_EQ(error.os_error, ECONNREFUSED);
  EXPECT_EQ(error.message, "dialing hello: connect 127.0.0.1:1: Connection refused");
}

TEST(Random, of_one_seed_repeats_and_stays_within_its_bound) {
  Random a(42);
  Random b(42);
  std::array<int, 7> seen{};
  for (int i = 0; i < 7000; ++i) {
    const auto value = a.below(7);
    EXPECT_EQ(value, b.below(7));
    ++seen.at(value);
  }
  for (const int count : seen) EXPECT_NEAR(count, 1000, 150);
}

}  // namespace
}  // namespace tulle
