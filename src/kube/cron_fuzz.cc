// Any text is refused or is a schedule, whose times go on and show what it says on the clocks
// there.
#include "base/check.h"
#include "kube/cron.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tulle::kube;
  static const TimeZone zone = TimeZone::find("America/New_York").value();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto schedule = CronSchedule::parse(text);
  if (!schedule) return 0;
  // From before a day with 25 hours on.
  Time time = *parse_time("2029-11-03T12:00:00.25Z");
  for (int i = 0; i < 3; ++i) {
    const auto next = schedule->next_after(time, zone);
    if (!next) break;
    CHECK(*next > time);
    CHECK(text.starts_with('@') || zone.local(*next).second() == 0);
    time = *next;
  }
  return 0;
}
