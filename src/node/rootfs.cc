#include "node/rootfs.h"

#include "base/format.h"
#include "base/owned_fd.h"
#include "node/image_files.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

namespace tulle::node {
namespace {

Error explain(int error, const RootfsMount& mount) {
  const std::string what = fmt::format("mount overlayfs at {}", mount.target);
  switch (error) {
    case EPERM:
    case EACCES: return failf(Code::permission_denied, "{}: not permitted; run as root", what);
    case ENODEV:
      return failf(Code::unsupported, "{}: this kernel has no overlayfs; try: modprobe overlay",
                   what);
    case EINVAL:
      return failf(Code::unsupported,
                   "{}: the file system of {} cannot hold its upper directory; choose a data "
                   "directory on ext4, xfs, btrfs or tmpfs",
                   what, mount.state);
    default: return os_error(error, what);
  }
}

// Options name directories by descriptor: the kernel takes at most a page of them, which paths of
// many layers would overflow, and paths would need quoting.
Result<std::string> option_path(const std::string& path, std::vector<OwnedFd>& keep_open) {
  OwnedFd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return os_error(errno, fmt::format("open {}", path));
  std::string name = fmt::format("/proc/self/fd/{}", fd.get());
  keep_open.push_back(std::move(fd));
  return name;
}

}  // namespace

Result<void> mount_rootfs(const RootfsMount& mount) {
  if (mount.layers.empty()) {
    return fail(Code::invalid_argument, "the image has no layers, so there is nothing to run");
  }
  const std::string upper = mount.state + "/upper";
  const std::string work = mount.state + "/work";
  TRY_VOID(make_directories(mount.state, 0700));
  TRY_VOID(make_directories(upper, 0755));
  TRY_VOID(make_directories(work, 0700));
  TRY_VOID(make_directories(mount.target, 0755));

  std::vector<OwnedFd> keep_open;
  std::string options = "lowerdir=";
  for (std::size_t i = 0; i < mount.layers.size(); ++i) {
    TRY(const std::string path, option_path(mount.layers[i], keep_open));
    if (i > 0) options += ':';
    options += path;
  }
  TRY(const std::string upper_path, option_path(upper, keep_open));
  TRY(const std::string work_path, option_path(work, keep_open));
  options += fmt::format(",upperdir={},workdir={}", upper_path, work_path);
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  if (options.size() >= page) {
    return failf(Code::exhausted, "the image has {} layers, more than one mount takes",
                 mount.layers.size());
  }
  if (::mount("overlay", mount.target.c_str(), "overlay", 0, options.c_str()) == 0) return {};
  return explain(errno, mount);
}

Result<void> unmount_rootfs(const std::string& target) {
  if (::umount2(target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return {};
  if (errno == EINVAL || errno == ENOENT) return {};
  return os_error(errno, fmt::format("unmount {}", target));
}

Result<void> remove_rootfs_state(const std::string& state) { return remove_tree(state); }

}  // namespace tulle::node
