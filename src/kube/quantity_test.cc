#include "kube/quantity.h"

#include <gtest/gtest.h>

#include <limits>

namespace tulle::kube {
namespace {

TEST(Quantity, is_written_in_canonical_form) {
  struct Row {
    std::string_view text;
    std::string_view canonical;
  };
  constexpr Row rows[] = {
      {"0", "0"},
      {"0Ki", "0"},
      {"-0", "0"},
      {"500m", "500m"},
      {"0.5", "500m"},
      {"1.5", "1500m"},
      {"1000m", "1"},
      {"1000", "1k"},
      {"1024", "1024"},
      {"1024Ki", "1Mi"},
      {"1.5Gi", "1536Mi"},
      {"512Ki", "512Ki"},
      {"0.5Ki", "512"},
      {"1Ki", "1Ki"},
      {"0.1Mi", "104857600m"},
      {"1e3", "1e3"},
      {"12e6", "12e6"},
      {"1E3", "1e3"},
      {"100e-3", "100e-3"},
      {"1E", "1E"},
      {"1Ei", "1Ei"},
      {"+5", "5"},
      {"-2.5", "-2500m"},
      {".5", "500m"},
      {"5.", "5"},
      {"1n", "1n"},
      {"0.1n", "1n"},
      {"-0.1n", "-1n"},
      {"1000000u", "1"},
      {"100E", "9223372036854775807"},
      {"8Ei", "9223372036854775807"},
      {"1e-99", "1e-9"},
      {"000123", "123"},
      {"123456789012345678901234567890", "9223372036854775807"},
  };
  for (const Row& row : rows) {
    const auto canonical = canonical_quantity(row.text);
    ASSERT_TRUE(canonical) << row.text;
    EXPECT_EQ(*canonical, row.canonical) << row.text;
  }
}

TEST(Quantity, refuses_what_upstream_refuses) {
  for (const std::string_view text : {"", "-", ".", "1.2.3", "abc", "Ki", "1 ", "--1"})
    EXPECT_TRUE(Quantity::parse(text).error().message.starts_with("quantities must match") ||
                Quantity::parse(text).error().message.starts_with("unable to parse"))
        << text;
  for (const std::string_view text : {"1KI", "1ki", "1e", "1e3.5", "1K", "1i", "1eK"})
    EXPECT_EQ(Quantity::parse(text).error().message, "unable to parse quantity's suffix") << text;
}

TEST(Quantity, compares_and_adds_by_amount) {
  const auto of = [](std::string_view text) { return *Quantity::parse(text); };
  EXPECT_EQ(of("1Gi"), of("1073741824"));
  EXPECT_LT(of("999m"), of("1"));
  EXPECT_GT(of("1Ki"), of("1k"));
  Quantity sum;
  sum += of("512Mi");
  sum += of("0.5Gi");
  EXPECT_EQ(sum.to_string(), "1Gi");
  sum -= of("1Gi");
  EXPECT_TRUE(sum.is_zero());
  EXPECT_EQ(of("1500m").value(), 2);
  EXPECT_EQ(of("1500m").milli_value(), 1500);
  EXPECT_EQ(of("100E").value(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(Quantity::from_milli(250).to_string(), "250m");
  EXPECT_EQ(Quantity::from_integer(2048, Quantity::Format::binary_si).to_string(), "2Ki");
}

}  // namespace
}  // namespace tulle::kube
