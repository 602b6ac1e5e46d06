#include "node/log_format.h"

#include <fmt/format.h>

#include <ctime>

namespace tulle::node {

std::string format_nano_time(WallTime time) {
  const auto nanos = time.time_since_epoch().count();
  const std::time_t seconds = nanos / 1'000'000'000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     nanos % 1'000'000'000);
}

void LineCutter::add(std::string_view bytes, WallTime now, std::string& out) {
  while (!bytes.empty()) {
    const std::size_t room = kLogLineBytesMax - partial_.size();
    const std::size_t end = bytes.substr(0, room).find('\n');
    if (end != std::string_view::npos) {
      partial_.append(bytes.substr(0, end));
      put(partial_, 'F', now, out);
      partial_.clear();
      bytes.remove_prefix(end + 1);
      continue;
    }
    partial_.append(bytes.substr(0, room));
    bytes.remove_prefix(std::min(room, bytes.size()));
    if (partial_.size() < kLogLineBytesMax) continue;
    put(partial_, 'P', now, out);
    partial_.clear();
  }
}

void LineCutter::end(WallTime now, std::string& out) {
  if (!partial_.empty()) put(partial_, 'F', now, out);
  partial_.clear();
}

void LineCutter::put(std::string_view text, char tag, WallTime now, std::string& out) const {
  fmt::format_to(std::back_inserter(out), "{} {} {} {}\n", format_nano_time(now), stream_, tag,
                 text);
}

std::optional<LogLine> parse_log_line(std::string_view line) {
  LogLine out;
  const auto next = [&line](std::string_view& part) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return false;
    part = line.substr(0, space);
    line.remove_prefix(space + 1);
    return true;
  };
  std::string_view tag;
  if (!next(out.time) || !next(out.stream) || !next(tag)) return std::nullopt;
  if (tag != "F" && tag != "P") return std::nullopt;
  out.full = tag == "F";
  out.text = line;
  return out;
}

}  // namespace tulle::node
