// The lines of container logs, as CRI runtimes write them and others read them:
//   2026-01-02T15:04:05.123456789Z stdout F the line
// F is a full line, P a part of one that was longer than a line may be.
#pragma once

#include "base/time.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace tulle::node {

inline constexpr std::size_t kLogLineBytesMax = 16 * 1024;

// RFC 3339 with nanoseconds, in UTC.
std::string format_nano_time(WallTime time);

// Cuts one stream of output into log lines.
class LineCutter final {
 public:
  explicit LineCutter(std::string stream) : stream_(std::move(stream)) {}

  // Appends to `out` the lines that `bytes` completes.
  void add(std::string_view bytes, WallTime now, std::string& out);
  // The end of the stream: what is left is a line.
  void end(WallTime now, std::string& out);

 private:
  void put(std::string_view text, char tag, WallTime now, std::string& out) const;

  const std::string stream_;
  std::string partial_;
};

struct LogLine {
  std::string_view time;
  std::string_view stream;
  bool full = true;
  std::string_view text;
};

// A line without its end; nothing when it is none of ours.
std::optional<LogLine> parse_log_line(std::string_view line);

}  // namespace tulle::node
