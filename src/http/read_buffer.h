// What was read from a stream and not used yet. Internal to http.
#pragma once

#include "base/check.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace tulle::http {

// Keeps its memory; grows only where room() asks for more than there is.
class ReadBuffer final {
 public:
  explicit ReadBuffer(std::size_t capacity) : capacity_(capacity) {}

  std::string_view data() const { return {bytes_.get() + begin_, end_ - begin_}; }
  bool empty() const { return begin_ == end_; }

  // REQUIRES: count <= data().size().
  void consume(std::size_t count) { begin_ += count; }

  // Where to read to, never empty, unless data() has `data_bytes_max` already. Moves data().
  std::span<char> room(std::size_t data_bytes_max) {
    if (!bytes_) bytes_ = std::make_unique_for_overwrite<char[]>(capacity_);
    if (begin_ == end_) begin_ = end_ = 0;
    if (end_ == capacity_ && begin_ > 0) compact(bytes_.get());
    if (end_ == capacity_ && capacity_ < data_bytes_max) {
      const std::size_t capacity = std::min(2 * capacity_, data_bytes_max);
      auto larger = std::make_unique_for_overwrite<char[]>(capacity);
      compact(larger.get());
      bytes_ = std::move(larger);
      capacity_ = capacity;
    }
    return {bytes_.get() + end_, capacity_ - end_};
  }
  // After reading `count` bytes into room().
  void produced(std::size_t count) { end_ += count; }

  void append(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto to = room(end_ - begin_ + bytes.size());
      const std::size_t count = std::min(to.size(), bytes.size());
      std::memcpy(to.data(), bytes.data(), count);
      produced(count);
      bytes.remove_prefix(count);
    }
  }

 private:
  void compact(char* to) {
    const std::size_t size = end_ - begin_;
    if (size > 0) std::memmove(to, bytes_.get() + begin_, size);
    begin_ = 0;
    end_ = size;
  }

  std::unique_ptr<char[]> bytes_;  // made when first needed
  std::size_t capacity_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace tulle::http
