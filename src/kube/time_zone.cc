#include "kube/time_zone.h"

#include "base/format.h"
#include "base/text.h"

#include <algorithm>
#include <cctype>
#include <string>

namespace tulle::kube {

namespace {

constexpr std::size_t kPartMax = 14;  // as the database itself demands

bool is_part(std::string_view part) {
  if (part.empty() || part.size() > kPartMax || part.starts_with('-')) return false;
  if (part == "." || part == "..") return false;
  return std::ranges::all_of(part, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' || c == '+';
  });
}

// A name is a path in the database, and must not lead out of it.
bool is_name(std::string_view name) {
  if (name.empty() || name.ends_with('/')) return false;
  while (!name.empty()) {
    if (!is_part(take_until(name, '/'))) return false;
  }
  return true;
}

}  // namespace

Result<TimeZone> TimeZone::find(std::string_view name) {
  cctz::time_zone zone;
  if (!is_name(name) || !cctz::load_time_zone(std::string(name), &zone)) {
    return failf(Code::not_found, "unknown time zone {}", name);
  }
  return TimeZone(zone);
}

cctz::civil_second TimeZone::local(Time time) const {
  return cctz::convert(std::chrono::floor<std::chrono::seconds>(time), zone_);
}

std::string TimeZone::format(Time time) const {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const bool plain = zone_.lookup(seconds).offset == 0;
  return cctz::format(plain ? "%Y-%m-%dT%H:%M:%SZ" : "%Y-%m-%dT%H:%M:%S%Ez", seconds, zone_);
}

Time TimeZone::first(const cctz::civil_second& local) const {
  const auto found = zone_.lookup(local);
  return found.kind == cctz::time_zone::civil_lookup::SKIPPED ? found.trans : found.pre;
}

}  // namespace tulle::kube
