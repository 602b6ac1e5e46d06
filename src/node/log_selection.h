// Which lines of a container's log a client asked for, and what they look like to it. A value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tulle::node {

struct LogSelection {
  bool timestamps = false;
  std::optional<std::int64_t> tail_lines = std::nullopt;
  std::optional<std::int64_t> limit_bytes = std::nullopt;
  std::string since = {};  // as format_nano_time() writes it; empty: all

  // What is wanted of whole lines of the log's beginning, `tail_lines` included, or of lines that
  // came later. Counts towards `limit_bytes`.
  std::string take_first(std::string_view lines);
  std::string take(std::string_view lines);
  // Nothing more is wanted.
  bool full() const { return limit_bytes && taken_ >= *limit_bytes; }

 private:
  std::int64_t taken_ = 0;
  bool in_line_ = false;  // the last line taken was a part
};

}  // namespace tulle::node
