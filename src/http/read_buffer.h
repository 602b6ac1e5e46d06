// What was read from a stream and not used yet. Internal to http.
#pragma once

#include "base/check.h"
#include "rt/thread_memory.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

namespace tulle::http {

// Grows only where room() asks for more than there is. Whoever waits for a message to begin calls
// release(): idle connections hold no memory for bytes that may never come.
class ReadBuffer final {
 public:
  explicit ReadBuffer(std::size_t capacity) : initial_capacity_(capacity) {}
  ~ReadBuffer() { free(); }
  ReadBuffer(const ReadBuffer&) = delete;
  ReadBuffer& operator=(const ReadBuffer&) = delete;

  std::string_view data() const { return {bytes_ + begin_, end_ - begin_}; }
  bool empty() const { return begin_ == end_; }

  // REQUIRES: count <= data().size().
  void consume(std::size_t count) { begin_ += count; }

  // Where to read to, never empty, unless data() has `data_bytes_max` already. Moves data().
  std::span<char> room(std::size_t data_bytes_max) {
    if (bytes_ == nullptr) allocate(initial_capacity_);
    if (begin_ == end_) begin_ = end_ = 0;
    if (end_ == capacity_ && begin_ > 0) compact(bytes_);
    if (end_ == capacity_ && capacity_ < data_bytes_max) {
      ReadBuffer larger(std::min(2 * capacity_, data_bytes_max));
      larger.append(data());
      swap(larger);
    }
    return {bytes_ + end_, capacity_ - end_};
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

  // Gives the memory back, if nothing is in it.
  void release() {
    if (empty()) free();
  }

 private:
  void allocate(std::size_t capacity) {
    bytes_ = static_cast<char*>(rt::allocate(capacity));
    capacity_ = capacity;
  }

  void free() {
    if (bytes_ != nullptr) rt::deallocate(bytes_, capacity_);
    bytes_ = nullptr;
    begin_ = end_ = capacity_ = 0;
  }

  void compact(char* to) {
    const std::size_t size = end_ - begin_;
    if (size > 0) std::memmove(to, bytes_ + begin_, size);
    begin_ = 0;
    end_ = size;
  }

  void swap(ReadBuffer& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(capacity_, other.capacity_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
  }

  const std::size_t initial_capacity_;
  char* bytes_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace tulle::http
