#include "http/date.h"

#include "base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

namespace tulle::http {
namespace {

constexpr std::array<std::string_view, 7> days = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void append_two_digits(std::string& out, unsigned value) {
  out += static_cast<char>('0' + value / 10 % 10);
  out += static_cast<char>('0' + value % 10);
}

// Of exactly `size` decimal digits.
std::optional<unsigned> number(std::string_view digits, std::size_t size) {
  unsigned value = 0;
  if (digits.size() != size) return std::nullopt;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + size, value);
  const bool whole = error == std::errc{} && end == digits.data() + size;
  return whole ? std::optional(value) : std::nullopt;
}

struct Parts {
  std::string_view day = {};
  std::string_view month = {};
  std::string_view year = {};  // two or four digits
  std::string_view time = {};  // "08:49:37"
};

Parts split(std::string_view text) {
  Parts parts;
  const std::string_view first = take_until(text, ' ');
  if (!first.ends_with(',')) {  // asctime()
    parts.month = take_until(text, ' ');
    if (text.starts_with(' ')) text.remove_prefix(1);
    parts.day = take_until(text, ' ');
    parts.time = take_until(text, ' ');
    parts.year = text;
    return parts;
  }
  std::string_view date = take_until(text, ' ');
  if (date.contains('-')) {
    parts.day = take_until(date, '-');
    parts.month = take_until(date, '-');
    parts.year = date;
  } else {
    parts.day = date;
    parts.month = take_until(text, ' ');
    parts.year = take_until(text, ' ');
  }
  parts.time = take_until(text, ' ');
  if (text != "GMT") return {};
  return parts;
}

int year_of_two_digits(unsigned digits, WallTime now) {
  const auto today = std::chrono::floor<std::chrono::days>(now);
  const int limit = static_cast<int>(std::chrono::year_month_day(today).year()) + 50;
  const int year = limit - limit % 100 + static_cast<int>(digits);
  return year > limit ? year - 100 : year;
}

}  // namespace

std::optional<WallTime> parse_http_date(std::string_view text, WallTime now) {
  Parts parts = split(text);
  const auto day = number(parts.day, parts.day.size() == 1 ? 1 : 2);
  const auto month = std::ranges::find(months, parts.month);
  const auto year = number(parts.year, parts.year.size() == 2 ? 2 : 4);
  const auto hour = number(take_until(parts.time, ':'), 2);
  const auto minute = number(take_until(parts.time, ':'), 2);
  const auto second = number(parts.time, 2);
  if (!day || month == months.end() || !year || !hour || !minute || !second) return std::nullopt;
  if (*hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const int full =
      parts.year.size() == 2 ? year_of_two_digits(*year, now) : static_cast<int>(*year);
  const std::chrono::year_month_day date(
      std::chrono::year(full),
      std::chrono::month(static_cast<unsigned>(month - months.begin()) + 1),
      std::chrono::day(*day));
  // Nanoseconds since 1970 end in 2262.
  if (!date.ok() || full < 1970 || full > 2261) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second);
}

std::string http_date(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto midnight = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date(midnight);
  const auto of_day = static_cast<unsigned>((seconds - midnight).count());
  const auto year = static_cast<unsigned>(static_cast<int>(date.year()));
  std::string out;
  out.append(days[std::chrono::weekday(midnight).c_encoding()]).append(", ");
  append_two_digits(out, static_cast<unsigned>(date.day()));
  out.append(" ").append(months[static_cast<unsigned>(date.month()) - 1]).append(" ");
  append_two_digits(out, year / 100);
  append_two_digits(out, year);
  out += ' ';
  append_two_digits(out, of_day / 3600);
  out += ':';
  append_two_digits(out, of_day / 60 % 60);
  out += ':';
  append_two_digits(out, of_day % 60);
  return out.append(" GMT");
}

}  // namespace tulle::http
