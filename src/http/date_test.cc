#include "http/date.h"

#include <gtest/gtest.h>

#include <vector>

namespace tulle::http {
namespace {

using namespace std::chrono_literals;

const WallTime then = std::chrono::sys_days(1994y / 11 / 6) + 8h + 49min + 37s;

TEST(HttpDate, all_three_forms_are_read) {
  const WallTime now = std::chrono::sys_days(2026y / 1 / 1);
  for (const std::string_view text :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994"}) {
    EXPECT_EQ(parse_http_date(text, now), then) << text;
  }
  EXPECT_EQ(parse_http_date("Thu Nov 16 08:49:37 1994", now), then + 240h);
  EXPECT_EQ(parse_http_date(http_date(now), now), now);
}

TEST(HttpDate, two_digits_of_a_year_are_at_most_fifty_years_ahead) {
  const WallTime now = std::chrono::sys_days(2026y / 1 / 1);
  EXPECT_EQ(parse_http_date("Sunday, 01-Jan-76 00:00:00 GMT", now),
            WallTime(std::chrono::sys_days(2076y / 1 / 1)));
  EXPECT_EQ(parse_http_date("Sunday, 01-Jan-77 00:00:00 GMT", now),
            WallTime(std::chrono::sys_days(1977y / 1 / 1)));
}

TEST(HttpDate, nothing_else_is) {
  const std::vector<std::string_view> rows = {
      "",
      "soon",
      "Sun, 06 Nov 1994 08:49:37",
      "Sun, 06 Nov 1994 08:49:37 CET",
      "Sun, 06 Nov 1994 08:49:37 GMT ",
      "Sun, 6 nov 1994 08:49:37 GMT",
      "Sun, 31 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 24:00:00 GMT",
      "Sun, 06 Nov 1994 08:60:00 GMT",
      "Sun, 06 Nov 1994 8:49:37 GMT",
      "Sun, 06 Nov 99999 08:49:37 GMT",
      "Sun, 06 Nov 9999 08:49:37 GMT",
      "Sun, +6 Nov 1994 08:49:37 GMT",
      "Sun Nov  6 08:49:37 1994 GMT",
  };
  for (const std::string_view row : rows) EXPECT_FALSE(parse_http_date(row, then)) << row;
}

}  // namespace
}  // namespace tulle::http
