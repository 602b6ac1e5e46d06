// A directory under a name that is short enough for the address of a Unix socket (107 characters),
// however long its own is.
#pragma once

#include "base/owned_fd.h"
#include "base/result.h"

#include <fmt/format.h>

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <string>
#include <string_view>

namespace tulle::node {

class ShortDirectory final {
 public:
  static Result<ShortDirectory> open(const std::string& path) {
    OwnedFd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return os_error(errno, "opening " + path);
    return ShortDirectory(std::move(fd));
  }

  // Of a file in it, for this process and others; valid as long as this lives.
  std::string path(std::string_view file) const {
    return fmt::format("/proc/{}/fd/{}/{}", ::getpid(), fd_.get(), file);
  }

 private:
  explicit ShortDirectory(OwnedFd fd) : fd_(std::move(fd)) {}

  OwnedFd fd_;
};

}  // namespace tulle::node
