#include "node/run_mounts.h"

#include "base/format.h"
#include "base/owned_fd.h"
#include "node/image_files.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <cerrno>
#include <filesystem>

namespace tulle::node {

Result<std::string> RunMounts::bind(int fd) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return os_error(errno, "look at what is to be mounted");
  TRY_VOID(make_directories(directory_, 0700));
  std::string path = fmt::format("{}/{}", directory_, count_++);
  if (S_ISDIR(status.st_mode)) {
    TRY_VOID(make_directories(path, 0700));
  } else if (const OwnedFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
             !file) {
    return os_error(errno, "make " + path);
  }
  // The kernel takes the descriptor's own place, not the name that the link shows.
  const std::string source = fmt::format("/proc/self/fd/{}", fd);
  if (::mount(source.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return os_error(errno, "mount at " + path);
  }
  return path;
}

Result<void> unmount_run(const RunPlace& place) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(place.mounts(), error)) {
    const std::string path = entry.path();
    // EINVAL: nothing is mounted there.
    while (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
    }
    if (errno != EINVAL && errno != ENOENT) return os_error(errno, "unmount " + path);
  }
  return remove_tree(place.mounts());
}

}  // namespace tulle::node
