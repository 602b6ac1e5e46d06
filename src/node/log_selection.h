// Which lines of a container's log a client asked for, and what they look like to it. Values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace tulle::node {

struct LogOptions {
  bool timestamps = false;
  std::optional<std::int64_t> tail_lines = std::nullopt;
  std::optional<std::int64_t> limit_bytes = std::nullopt;
  std::string since = {};  // as format_nano_time() writes it; empty: all
};

class LogSelection final {
 public:
  explicit LogSelection(LogOptions options) : options_(std::move(options)) {}

  // What is wanted of whole lines of the log's beginning, `tail_lines` included, or of lines that
  // came later. Counts towards `limit_bytes`.
  std::string take_first(std::string_view lines);
  std::string take(std::string_view lines);
  // Nothing more is wanted.
  bool full() const { return options_.limit_bytes && taken_ >= *options_.limit_bytes; }

 private:
  LogOptions options_;
  std::int64_t taken_ = 0;
  bool in_line_ = false;  // the last line taken was a part
};

}  // namespace tulle::node
