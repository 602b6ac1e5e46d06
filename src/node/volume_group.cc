#include "node/volume_group.h"

#include "base/format.h"
#include "base/owned_fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <memory>
#include <string_view>

namespace tulle::node {

namespace {

constexpr mode_t kGroupOwnsDirectory = 02770;
constexpr mode_t kGroupOwnsFile = 0660;
constexpr mode_t kPermissions = 0777;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// By a descriptor that was opened with O_PATH. A program that runs as its owner no longer does.
Result<void> give(const OwnedFd& at, const struct stat& status, std::uint32_t group) {
  const mode_t mode = S_ISDIR(status.st_mode)
                          ? (status.st_mode & (kPermissions | S_ISVTX)) | kGroupOwnsDirectory
                          : (status.st_mode & kPermissions) | kGroupOwnsFile;
  const std::string self = fmt::format("/proc/self/fd/{}", at.get());
  if (::fchownat(at.get(), "", static_cast<uid_t>(-1), group, AT_EMPTY_PATH) != 0 ||
      ::chmod(self.c_str(), mode) != 0) {
    return os_error(errno, "give a group to a volume");
  }
  return {};
}

Result<void> give_entries(const OwnedFd& directory, std::uint32_t group, int depth);

Result<void> give_tree(const OwnedFd& at, std::uint32_t group, int depth) {
  struct stat status{};
  if (::fstat(at.get(), &status) != 0) return os_error(errno, "look into a volume");
  if (S_ISLNK(status.st_mode)) return {};
  if (S_ISDIR(status.st_mode)) TRY_VOID(give_entries(at, group, depth + 1));
  return give(at, status, group);
}

Result<void> give_entries(const OwnedFd& directory, std::uint32_t group, int depth) {
  if (depth > volume_depth_max) {
    return failf(Code::exhausted, "a volume with directories more than {} deep", volume_depth_max);
  }
  OwnedFd readable(::openat(directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!readable) return os_error(errno, "read a directory of a volume");
  const std::unique_ptr<DIR, CloseDirectory> entries(::fdopendir(readable.get()));
  if (!entries) return os_error(errno, "read a directory of a volume");
  (void)readable.release();
  while (const dirent* entry = ::readdir(entries.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    const OwnedFd at(::openat(directory.get(), entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!at && errno == ENOENT) continue;
    if (!at) return os_error(errno, "open what is in a volume");
    TRY_VOID(give_tree(at, group, depth));
  }
  return {};
}

Result<OwnedFd> open_root(const std::string& directory) {
  OwnedFd root(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return os_error(errno, "open " + directory);
  return root;
}

}  // namespace

Result<void> give_group(const std::string& directory, std::uint32_t group) {
  TRY(const OwnedFd root, open_root(directory));
  struct stat status{};
  if (::fstat(root.get(), &status) != 0) return os_error(errno, "look at " + directory);
  return give(root, status, group);
}

Result<void> give_group_to_tree(const std::string& directory, std::uint32_t group) {
  TRY(const OwnedFd root, open_root(directory));
  return give_tree(root, group, 0);
}

bool has_group(const std::string& directory, std::uint32_t group) {
  struct stat status{};
  return ::stat(directory.c_str(), &status) == 0 && status.st_gid == group &&
         (status.st_mode & kGroupOwnsDirectory) == kGroupOwnsDirectory;
}

}  // namespace tulle::node
