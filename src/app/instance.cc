#include "app/instance.h"

#include "base/text.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace tulle::app {

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return to_lower(name.data());
}

Result<OwnedFd> claim(const Instance& instance) {
  for (const std::string& path : {instance.data_dir, instance.run(), instance.pki()}) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return os_error(error.value(), "making " + path);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
  }
  const std::string path = instance.data_dir + "/lock";
  OwnedFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) return os_error(errno, "opening " + path);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return os_error(errno, "locking " + path);
  return fail(Code::already_exists, "the data directory " + instance.data_dir +
                                        " is in use by another tulle; stop that one, or choose "
                                        "another directory with --data-dir");
}

Result<void> write_file(const std::string& path, const std::string& text) {
  const std::string next = path + ".next";
  const OwnedFd file(::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) return os_error(errno, "writing " + next);
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t count = ::write(file.get(), text.data() + written, text.size() - written);
    if (count < 0) return os_error(errno, "writing " + next);
    written += static_cast<std::size_t>(count);
  }
  if (::fsync(file.get()) != 0) return os_error(errno, "writing " + next);
  if (::rename(next.c_str(), path.c_str()) != 0) return os_error(errno, "writing " + path);
  return {};
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Code::not_found, "cannot read " + path);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

}  // namespace tulle::app
