#include "node/log_selection.h"

#include "node/log_format.h"

#include <algorithm>

namespace tulle::node {

namespace {

// The last `count` lines, where parts of a line belong to it.
std::string_view tail(std::string_view lines, std::int64_t count) {
  if (count <= 0) return {};
  std::size_t begin = lines.size();
  while (begin > 0) {
    const std::size_t before = begin == 1 ? std::string_view::npos : lines.rfind('\n', begin - 2);
    const std::size_t start = before == std::string_view::npos ? 0 : before + 1;
    const auto line = parse_log_line(lines.substr(start, begin - start - 1));
    if (line && line->full && count-- == 0) break;
    begin = start;
  }
  return lines.substr(begin);
}

}  // namespace

std::string LogSelection::take_first(std::string_view lines) {
  if (!options_.since.empty()) {
    // Before the tail is counted: lines that are too old are none of it.
    std::size_t begin = 0;
    while (begin < lines.size()) {
      const std::size_t end = lines.find('\n', begin);
      const auto line = parse_log_line(lines.substr(begin, end - begin));
      if (line && line->time >= options_.since) break;
      begin = end == std::string_view::npos ? lines.size() : end + 1;
    }
    lines.remove_prefix(begin);
  }
  if (options_.tail_lines) lines = tail(lines, *options_.tail_lines);
  return take(lines);
}

std::string LogSelection::take(std::string_view lines) {
  std::string out;
  for (std::size_t begin = 0; begin < lines.size();) {
    const std::size_t end = std::min(lines.find('\n', begin), lines.size());
    const auto line = parse_log_line(lines.substr(begin, end - begin));
    begin = end + 1;
    if (!line || line->time < options_.since) continue;
    if (options_.timestamps && !in_line_) out.append(line->time).append(" ");
    out.append(line->text);
    if (line->full) out += '\n';
    in_line_ = !line->full;
  }
  if (options_.limit_bytes) {
    const auto room =
        static_cast<std::size_t>(std::max<std::int64_t>(0, *options_.limit_bytes - taken_));
    out.resize(std::min(out.size(), room));
  }
  taken_ += static_cast<std::int64_t>(out.size());
  return out;
}

}  // namespace tulle::node
