// Schedules of CronJobs: five fields as cron has them, or a macro. The rules and the words are
// those of the Go library that Kubernetes uses (robfig/cron, ParseStandard).
#pragma once

#include "base/result.h"
#include "kube/time.h"
#include "kube/time_zone.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace tulle::kube {

// A value.
class CronSchedule final {
 public:
  // "*/5 8-18 * * mon-fri", "@daily", "@every 90m". Sunday is 0 and 7.
  static Result<CronSchedule> parse(std::string_view text);

  // The first time after `after` that it is due. Nothing for what is never due (30 February): the
  // search ends after five years.
  //
  // A time that clocks skip in spring is not due that day; one that they show twice in autumn is
  // due twice.
  std::optional<Time> next_after(Time after, const TimeZone& zone) const;
  // The last time after `after` and not after `until` that it was due.
  std::optional<Time> last_between(Time after, Time until, const TimeZone& zone) const;

 private:
  // Sets of numbers as bits; `any` says that it was a star, which leaves the choice to others.
  struct Field {
    std::uint64_t numbers = 0;
    bool any = false;

    bool has(int number) const { return ((numbers >> number) & 1) != 0; }
  };
  struct Bounds;

  static Result<CronSchedule> parse_macro(std::string_view text);
  static Result<Field> parse_field(std::string_view text, const Bounds& bounds);
  static Result<Field> parse_range(std::string_view text, const Bounds& bounds);
  bool has_day(const cctz::civil_second& local) const;

  std::chrono::milliseconds every_{};  // not zero: that, and no fields
  Field minutes_;
  Field hours_;
  Field days_;
  Field months_;
  Field weekdays_;
};

}  // namespace tulle::kube
