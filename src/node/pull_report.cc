#include "node/pull_report.h"

#include "base/format.h"
#include "node/disk_room.h"

namespace tulle::node {
namespace {

// Said of a registry that sends nothing.
constexpr Duration silence_told = std::chrono::seconds(5);

std::string step_text(const PullProgress& progress, Instant now) {
  switch (progress.step) {
    case PullProgress::Step::waiting: return "waits for other pulls";
    case PullProgress::Step::asking: return "asking the registry";
    case PullProgress::Step::unpacking: return "unpacking";
    case PullProgress::Step::fetching: break;
  }
  std::string text =
      fmt::format("{} of {} fetched", human_size(progress.bytes), human_size(progress.bytes_total));
  if (const Duration silence = now - progress.grown_at; silence >= silence_told) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(silence);
    text += fmt::format(", nothing for {}s", seconds.count());
  }
  return text;
}

}  // namespace

std::string PullReport::text(const PullProgress& progress, Instant now) const {
  return fmt::format("Pulling image \"{}\": {}", reference_, step_text(progress, now));
}

bool PullReport::is_event_due(Instant now) {
  if (now < next_event_) return false;
  wait_ *= 2;
  next_event_ += wait_;
  return true;
}

std::string go_duration(Duration duration) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  if (ms < 1000) return ms == 0 ? "0s" : fmt::format("{}ms", ms);
  std::string seconds = fmt::format("{}", static_cast<double>(ms % 60'000) / 1000);
  if (ms < 60'000) return seconds + "s";
  if (ms < 3'600'000) return fmt::format("{}m{}s", ms / 60'000, seconds);
  return fmt::format("{}h{}m{}s", ms / 3'600'000, ms / 60'000 % 60, seconds);
}

}  // namespace tulle::node
