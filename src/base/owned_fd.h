// A file descriptor with one owner, closed on destruction.
#pragma once

#include <utility>

namespace tulle {

class OwnedFd final {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~OwnedFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

  // Gives the descriptor away; this object then holds none.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

  // Closes now. Does nothing when empty.
  void reset();

 private:
  int fd_ = -1;
};

}  // namespace tulle
