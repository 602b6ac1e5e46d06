#include "kube/cron.h"

#include "base/format.h"
#include "base/text.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <span>
#include <string>
#include <vector>

namespace tulle::kube {

namespace {

constexpr int kYearsMax = 5;

constexpr std::string_view kMonths[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                        "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::string_view kWeekdays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

Error bad(std::string message) { return fail(Code::malformed, std::move(message)); }

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  parts.reserve(5);
  while (!text.empty()) {
    const std::size_t at = std::min(text.find_first_of(separators), text.size());
    if (at > 0) parts.push_back(text.substr(0, at));
    text.remove_prefix(std::min(at + 1, text.size()));
  }
  return parts;
}

}  // namespace

struct CronSchedule::Bounds {
  int min = 0;
  int max = 0;
  std::span<const std::string_view> names = {};  // of `min` and what follows
  int max_named = max;                           // beyond what a star stands for

  Result<int> number(std::string_view text) const {
    const auto name = std::ranges::find(names, to_lower(text));
    if (name != names.end()) return min + static_cast<int>(name - names.begin());
    int found = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), found);
    if (error != std::errc{} || end != text.data() + text.size()) {
      return bad(fmt::format(
          "failed to parse int from {}: strconv.Atoi: parsing \"{}\": {}", text, text,
          error == std::errc::result_out_of_range ? "value out of range" : "invalid syntax"));
    }
    if (found < 0) {
      return bad(fmt::format("negative number ({}) not allowed: {}", found, text));
    }
    return found;
  }
};

// NUMBER, NUMBER-NUMBER or a star, each with a /STEP or without.
Result<CronSchedule::Field> CronSchedule::parse_range(std::string_view text, const Bounds& bounds) {
  std::string_view rest = text;
  const std::string_view range = take_until(rest, '/');
  const bool stepped = range.size() < text.size();
  std::string_view high = range;
  const std::string_view low = take_until(high, '-');
  const bool single = low.size() == range.size();
  if (rest.contains('/')) return bad(fmt::format("too many slashes: {}", text));
  if (high.contains('-')) return bad(fmt::format("too many hyphens: {}", text));

  int first = bounds.min;
  int last = bounds.max;
  bool any = low == "*" || low == "?";
  if (!any) {
    TRY(first, bounds.number(low));
    last = first;
    if (!single) {
      TRY(last, bounds.number(high));
    } else if (stepped) {
      last = std::max(first, bounds.max);
    }
  }
  int step = 1;
  if (stepped) {
    TRY(step, Bounds().number(rest));
    any = any && step <= 1;
  }
  if (first < bounds.min) {
    return bad(
        fmt::format("beginning of range ({}) below minimum ({}): {}", first, bounds.min, text));
  }
  if (last > bounds.max_named) {
    return bad(
        fmt::format("end of range ({}) above maximum ({}): {}", last, bounds.max_named, text));
  }
  if (first > last) {
    return bad(
        fmt::format("beginning of range ({}) beyond end of range ({}): {}", first, last, text));
  }
  if (step == 0) {
    return bad(fmt::format("step of range should be a positive number: {}", text));
  }
  Field field{.any = any};
  for (int number = first; number <= last; number += std::min(step, bounds.max + 1)) {
    field.numbers |= std::uint64_t{1} << number;
  }
  return field;
}

Result<CronSchedule::Field> CronSchedule::parse_field(std::string_view text, const Bounds& bounds) {
  Field field;
  for (const std::string_view part : split(text, ",")) {
    TRY(const Field range, parse_range(part, bounds));
    field.numbers |= range.numbers;
    field.any = field.any || range.any;
  }
  return field;
}

Result<CronSchedule> CronSchedule::parse_macro(std::string_view text) {
  struct Macro {
    std::string_view name, fields;
  };
  static constexpr Macro macros[] = {
      {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
      {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
      {"@hourly", "0 * * * *"},
  };
  for (const Macro& macro : macros) {
    if (macro.name == text) return parse(macro.fields);
  }
  constexpr std::string_view every = "@every ";
  if (!text.starts_with(every)) return bad(fmt::format("unrecognized descriptor: {}", text));
  const auto pause = parse_duration(text.substr(every.size()));
  if (!pause) {
    return bad(fmt::format("failed to parse duration {}: {}", text, pause.error().message));
  }
  CronSchedule schedule;
  // Not less than a second, and whole ones.
  schedule.every_ =
      std::max(std::chrono::floor<std::chrono::seconds>(*pause), std::chrono::seconds(1));
  return schedule;
}

Result<CronSchedule> CronSchedule::parse(std::string_view text) {
  if (text.empty()) return bad("empty spec string");
  if (text.starts_with('@')) return parse_macro(text);
  const auto fields = split(text, " \t\n\v\f\r");
  if (fields.size() != 5) {
    return bad(fmt::format("expected exactly 5 fields, found {}: [{}]", fields.size(),
                           fmt::join(fields, " ")));
  }
  CronSchedule schedule;
  TRY(schedule.minutes_, parse_field(fields[0], {.min = 0, .max = 59}));
  TRY(schedule.hours_, parse_field(fields[1], {.min = 0, .max = 23}));
  TRY(schedule.days_, parse_field(fields[2], {.min = 1, .max = 31}));
  TRY(schedule.months_, parse_field(fields[3], {.min = 1, .max = 12, .names = kMonths}));
  TRY(schedule.weekdays_,
      parse_field(fields[4], {.min = 0, .max = 6, .names = kWeekdays, .max_named = 7}));
  if (schedule.weekdays_.has(7)) schedule.weekdays_.numbers |= 1;
  return schedule;
}

// Of two fields that both say something either will do.
bool CronSchedule::has_day(const cctz::civil_second& local) const {
  const bool day = days_.has(local.day());
  // cctz counts from Monday.
  const int number = (static_cast<int>(cctz::get_weekday(cctz::civil_day(local))) + 1) % 7;
  const bool weekday = weekdays_.has(number);
  return days_.any || weekdays_.any ? (day && weekday) : (day || weekday);
}

std::optional<Time> CronSchedule::next_after(Time after, const TimeZone& zone) const {
  if (every_ != std::chrono::milliseconds::zero()) {
    return std::chrono::floor<std::chrono::seconds>(after) + every_;
  }
  if (minutes_.numbers == 0 || hours_.numbers == 0) return std::nullopt;
  Time time = std::chrono::floor<std::chrono::seconds>(after) + std::chrono::seconds(1);
  const auto year_max = zone.local(time).year() + kYearsMax;
  for (;;) {
    const cctz::civil_second local = zone.local(time);
    if (local.year() > year_max) return std::nullopt;
    // Never back: the first time that clocks show something may have passed.
    Time next = time + std::chrono::seconds(60 - local.second());
    if (!months_.has(local.month())) {
      next = std::max(next, zone.first(cctz::civil_second(cctz::civil_month(local) + 1)));
    } else if (!has_day(local)) {
      next = std::max(next, zone.first(cctz::civil_second(cctz::civil_day(local) + 1)));
    } else if (!hours_.has(local.hour())) {
      next = std::max(next, zone.first(cctz::civil_second(cctz::civil_hour(local) + 1)));
    } else if (minutes_.has(local.minute()) && local.second() == 0) {
      return time;
    }
    time = next;
  }
}

std::optional<Time> CronSchedule::last_between(Time after, Time until, const TimeZone& zone) const {
  std::optional<Time> last;
  Time from = after;
  if (every_ != std::chrono::milliseconds::zero()) {
    // These times have no other origin than `after`.
    if (until > after) from += (until - after) / every_ * every_;
    from -= every_;
  } else {
    // Twice as far back each time, as long as there is none.
    for (std::chrono::microseconds back = std::chrono::minutes(1); until - back > after;
         back *= 2) {
      const auto next = next_after(until - back, zone);
      if (!next || *next > until) continue;
      from = until - back;
      break;
    }
  }
  for (auto next = next_after(from, zone); next && *next <= until; next = next_after(*next, zone)) {
    if (*next > after) last = next;
  }
  return last;
}

}  // namespace tulle::kube
