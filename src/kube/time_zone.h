// Time zones by name, out of the system's database (package tzdata).
#pragma once

#include "base/result.h"
#include "kube/time.h"

#include <cctz/time_zone.h>

#include <string>
#include <string_view>

namespace tulle::kube {

// A value. What clocks on a wall show there, and when.
class TimeZone final {
 public:
  // "Europe/Berlin", "UTC". Fails with what Go says where there is none: "unknown time zone Mars".
  // A zone is read from the disk once; that takes far less than a millisecond.
  static Result<TimeZone> find(std::string_view name);
  static TimeZone utc() { return TimeZone(cctz::utc_time_zone()); }

  cctz::civil_second local(Time time) const;
  // RFC 3339 with the offset there: "2030-01-01T01:00:00+01:00", "Z" where there is none.
  std::string format(Time time) const;
  // When clocks show `local` for the first time: when they are put forward where they skip it.
  Time first(const cctz::civil_second& local) const;

 private:
  explicit TimeZone(const cctz::time_zone& zone) : zone_(zone) {}

  cctz::time_zone zone_;
};

}  // namespace tulle::kube
