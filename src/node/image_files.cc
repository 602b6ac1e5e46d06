#include "node/image_files.h"

#include "base/format.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>

namespace tulle::node {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

Result<Directory> listing_of(OwnedFd fd, const char* name) {
  if (!fd) return os_error(errno, fmt::format("open directory {}", name));
  Directory listing(::fdopendir(fd.get()));
  if (!listing) return os_error(errno, fmt::format("list directory {}", name));
  (void)fd.release();
  return listing;
}

Result<Directory> open_listing(int parent, const char* name) {
  return listing_of(
      OwnedFd(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)), name);
}

// Not where something is mounted: that belongs to somebody else.
Result<Directory> open_own_listing(int parent, const char* name) {
  const open_how how{.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                     .mode = 0,
                     .resolve = RESOLVE_NO_XDEV};
  return listing_of(
      OwnedFd(static_cast<int>(::syscall(SYS_openat2, parent, name, &how, sizeof how))), name);
}

// The next name other than "." and "..", or nullptr at the end.
const char* next_name(DIR* listing) {
  while (const dirent* entry = ::readdir(listing)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") return entry->d_name;
  }
  return nullptr;
}

enum class Removal { done, is_directory };

Result<Removal> remove_unless_directory(int parent, const char* name) {
  if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return Removal::done;
  if (errno == EISDIR) return Removal::is_directory;
  return os_error(errno, fmt::format("remove {}", name));
}

// Moves directory `name` of `from` to a free name in `top`.
Result<void> hoist(int from, const char* name, int top, std::uint64_t& serial) {
  while (true) {
    const std::string free_name = fmt::format(".removed-{}", serial++);
    if (::renameat2(from, name, top, free_name.c_str(), RENAME_NOREPLACE) == 0) return {};
    if (errno != EEXIST) return os_error(errno, fmt::format("move {}", name));
  }
}

// Empties and removes directory `name` of `top`; directories in it become children of `top`.
Result<void> flatten(int top, const char* name, std::uint64_t& serial) {
  {
    TRY(const Directory listing, open_own_listing(top, name));
    while (const char* child = next_name(listing.get())) {
      TRY(const Removal removal, remove_unless_directory(::dirfd(listing.get()), child));
      if (removal == Removal::is_directory) {
        TRY_VOID(hoist(::dirfd(listing.get()), child, top, serial));
      }
    }
  }
  if (::unlinkat(top, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  // The listing may have missed names while it changed; the caller's next pass comes back.
  if (errno == ENOTEMPTY) return {};
  return os_error(errno, fmt::format("remove directory {}", name));
}

}  // namespace

Result<OwnedFd> open_directory(const std::string& path) {
  OwnedFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return os_error(errno, fmt::format("open {}", path));
  return fd;
}

Result<void> make_directories(const std::string& path, std::uint32_t mode) {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  if (error) return os_error(error.value(), fmt::format("create {}", parent.string()));
  if (::mkdir(path.c_str(), mode) == 0) {
    if (::chmod(path.c_str(), mode) != 0) return os_error(errno, fmt::format("chmod {}", path));
    return {};
  }
  if (errno != EEXIST) return os_error(errno, fmt::format("create {}", path));
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return os_error(errno, fmt::format("stat {}", path));
  if (!S_ISDIR(status.st_mode)) return os_error(ENOTDIR, path);
  return {};
}

Result<std::string> read_small_file(const std::string& path, std::uint64_t bytes_max) {
  const OwnedFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return os_error(errno, fmt::format("open {}", path));
  std::string contents;
  char buffer[16384];
  while (true) {
    const ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
    if (count == 0) return contents;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error(errno, fmt::format("read {}", path));
    contents.append(buffer, static_cast<std::size_t>(count));
    if (contents.size() > bytes_max) {
      return failf(Code::exhausted, "{} is larger than {} bytes", path, bytes_max);
    }
  }
}

Result<void> write_at(int fd, std::string_view contents, std::uint64_t offset) {
  while (!contents.empty()) {
    const ssize_t count =
        ::pwrite(fd, contents.data(), contents.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error(errno, "write");
    contents.remove_prefix(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

namespace {

std::string beside(const std::string& path) { return path + ".new"; }

Result<OwnedFd> write_beside(const std::string& path, std::string_view contents) {
  const std::string temporary = beside(path);
  OwnedFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return os_error(errno, fmt::format("create {}", temporary));
  TRY_VOID(write_at(fd.get(), contents, 0));
  return fd;
}

Result<void> move_into_place(const std::string& path) {
  if (::rename(beside(path).c_str(), path.c_str()) == 0) return {};
  return os_error(errno, fmt::format("rename {}", beside(path)));
}

}  // namespace

Result<void> write_file_whole(const std::string& path, std::string_view contents) {
  TRY_VOID(write_beside(path, contents));
  return move_into_place(path);
}

Result<void> write_file_durably(const std::string& path, std::string_view contents) {
  {
    TRY(const OwnedFd fd, write_beside(path, contents));
    if (::fsync(fd.get()) != 0) return os_error(errno, fmt::format("sync {}", beside(path)));
  }
  TRY_VOID(move_into_place(path));
  return sync_directory(std::filesystem::path(path).parent_path().string());
}

Result<void> sync_directory(const std::string& path) {
  TRY(const OwnedFd fd, open_directory(path));
  if (::fsync(fd.get()) != 0) return os_error(errno, fmt::format("sync {}", path));
  return {};
}

Result<void> sync_file_system(const std::string& path) {
  TRY(const OwnedFd fd, open_directory(path));
  if (::syncfs(fd.get()) != 0) return os_error(errno, fmt::format("sync {}", path));
  return {};
}

Result<void> remove_tree(const std::string& path) { return remove_tree_at(AT_FDCWD, path); }

// Deep trees cost no descriptors and no stack: every directory found is moved up to the top, so
// that nothing is ever worked on below the second level.
Result<void> remove_tree_at(int parent, const std::string& name) {
  TRY(const Removal removal, remove_unless_directory(parent, name.c_str()));
  if (removal == Removal::done) return {};
  {
    TRY(const Directory top, open_listing(parent, name.c_str()));
    std::uint64_t serial = 0;
    bool found = true;
    while (found) {
      found = false;
      ::rewinddir(top.get());
      while (const char* child = next_name(top.get())) {
        found = true;
        const int fd = ::dirfd(top.get());
        TRY(const Removal child_removal, remove_unless_directory(fd, child));
        if (child_removal == Removal::is_directory) TRY_VOID(flatten(fd, child, serial));
      }
    }
  }
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  return os_error(errno, fmt::format("remove directory {}", name));
}

}  // namespace tulle::node
