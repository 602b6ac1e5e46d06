#include "kube/time.h"

#include "base/format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace tulle::kube {

namespace {

using namespace std::chrono;

// Reads a text from left to right; any mismatch makes it bad for good.
class Reader final {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  int digits(std::size_t count) {
    int value = 0;
    if (rest_.size() < count) return fail();
    for (const char c : rest_.substr(0, count)) {
      if (c < '0' || c > '9') return fail();
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(count);
    return value;
  }

  bool accept(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void expect(char c) {
    if (!accept(c)) fail();
  }

  // The digits after the point, as microseconds; more digits are read and dropped.
  microseconds fraction() {
    std::int64_t value = 0;
    int count = 0;
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') {
      if (count < 6) value = value * 10 + (rest_.front() - '0');
      ++count;
      rest_.remove_prefix(1);
    }
    if (count == 0) fail();
    for (; count < 6; ++count) value *= 10;
    return microseconds(value);
  }

  bool done() const { return good_ && rest_.empty(); }

 private:
  int fail() {
    good_ = false;
    return 0;
  }

  std::string_view rest_;
  bool good_ = true;
};

struct Fields {
  year_month_day date;
  hh_mm_ss<microseconds> clock;
};

Fields fields_of(Time time) {
  const auto day = floor<days>(time);
  return {.date = year_month_day(day), .clock = hh_mm_ss<microseconds>(time - day)};
}

std::string format_seconds(const Fields& fields) {
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", int(fields.date.year()),
                     unsigned(fields.date.month()), unsigned(fields.date.day()),
                     fields.clock.hours().count(), fields.clock.minutes().count(),
                     fields.clock.seconds().count());
}

}  // namespace

Result<Time> parse_time(std::string_view text) {
  Reader in(text);
  const int y = in.digits(4);
  in.expect('-');
  const int m = in.digits(2);
  in.expect('-');
  const int d = in.digits(2);
  in.expect('T');
  const int hour = in.digits(2);
  in.expect(':');
  const int minute = in.digits(2);
  in.expect(':');
  const int second = in.digits(2);
  microseconds fraction{0};
  if (in.accept('.')) fraction = in.fraction();
  int offset_minutes = 0;
  if (!in.accept('Z')) {
    const int sign = in.accept('-') ? -1 : 1;
    if (sign == 1) in.expect('+');
    const int offset_hour = in.digits(2);
    in.expect(':');
    const int offset_minute = in.digits(2);
    if (offset_hour > 23 || offset_minute > 59) in.expect('\0');
    offset_minutes = sign * (offset_hour * 60 + offset_minute);
  }
  const year_month_day date{year(y), month(static_cast<unsigned>(m)),
                            day(static_cast<unsigned>(d))};
  if (!in.done() || !date.ok() || hour > 23 || minute > 59 || second > 59)
    return failf(Code::invalid_argument, "\"{}\" is not a time in RFC 3339 form", text);
  return Time(sys_days(date)) + hours(hour) + minutes(minute) + seconds(second) + fraction -
         minutes(offset_minutes);
}

std::string format_time(Time time) { return format_seconds(fields_of(time)) + "Z"; }

std::string format_micro_time(Time time) {
  const Fields fields = fields_of(time);
  return fmt::format("{}.{:06}Z", format_seconds(fields), fields.clock.subseconds().count());
}

Result<milliseconds> parse_duration(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, milliseconds>, 4> units{
      {{"ms", milliseconds(1)}, {"h", hours(1)}, {"m", minutes(1)}, {"s", seconds(1)}}};
  const auto malformed = [text] {
    return failf(Code::invalid_argument,
                 "\"{}\" is not a duration: write numbers with units h, m, s or ms, as in 1m30s",
                 text);
  };
  milliseconds total{};
  std::string_view rest = text;
  for (int parts = 0; parts == 0 || !rest.empty(); ++parts) {
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    if (parts == 4 || digits == 0 || digits > 5) return malformed();
    int number = 0;
    std::from_chars(rest.data(), rest.data() + digits, number);
    rest.remove_prefix(digits);
    const auto* const unit = std::ranges::find_if(
        units, [rest](const auto& candidate) { return rest.starts_with(candidate.first); });
    if (unit == units.end()) return malformed();
    rest.remove_prefix(unit->first.size());
    total += number * unit->second;
  }
  return total;
}

std::string human_duration(microseconds duration) {
  const auto s = duration_cast<seconds>(duration).count();
  if (s < -1) return "<invalid>";
  if (s <= 0) return "0s";
  if (s < 120) return fmt::format("{}s", s);
  // Two units while the first is small enough for the second to matter.
  const auto pair = [](std::int64_t big, char unit, std::int64_t small, char small_unit) {
    return small == 0 ? fmt::format("{}{}", big, unit)
                      : fmt::format("{}{}{}{}", big, unit, small, small_unit);
  };
  const auto m = s / 60;
  if (m < 10) return pair(m, 'm', s % 60, 's');
  if (m < 180) return fmt::format("{}m", m);
  const auto h = m / 60;
  if (h < 8) return pair(h, 'h', m % 60, 'm');
  if (h < 48) return fmt::format("{}h", h);
  const auto d = h / 24;
  if (d < 8) return pair(d, 'd', h % 24, 'h');
  if (d < 2 * 365) return fmt::format("{}d", d);
  const auto y = d / 365;
  if (y < 8) return pair(y, 'y', d % 365, 'd');
  return fmt::format("{}y", y);
}

std::string age(std::string_view timestamp, Time now) {
  const auto then = parse_time(timestamp);
  return then ? human_duration(now - *then) : "<unknown>";
}

}  // namespace tulle::kube
