// A container's root file system: an overlayfs of its image's layers under a writable directory
// (kernel Documentation/filesystems/overlayfs.rst). Blocking. Mounts appear in the calling
// thread's mount namespace.
#pragma once

#include "base/result.h"

#include <string>
#include <vector>

namespace tulle::node {

struct RootfsMount {
  std::vector<std::string> layers;  // Image::layers: uppermost first
  std::string state;   // holds `upper` (what the container writes) and `work`; made if missing,
                       // kept from one mount to the next
  std::string target;  // mount point; made if missing
};

// Errors: permission_denied when not root, unsupported where kernel or file system cannot (with
// what to do), invalid_argument without layers.
Result<void> mount_rootfs(const RootfsMount& mount);

// Detaches what is mounted at `target`, even while it is in use. Nothing mounted is no error.
Result<void> unmount_rootfs(const std::string& target);

// Removes the state of an unmounted root, with all that the container wrote.
Result<void> remove_rootfs_state(const std::string& state);

}  // namespace tulle::node
