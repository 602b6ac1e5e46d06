// Mounts that one run of a container holds for its runtime: what was found by descriptor is handed
// on by a path that leads nowhere else, whoever renames what meanwhile. They lie below
// RunPlace::mounts(), which only root enters, and outlive this process. Blocking functions; they
// need root.
#pragma once

#include "base/result.h"
#include "node/places.h"

#include <cstddef>
#include <string>

namespace tulle::node {

class RunMounts final {
 public:
  // REQUIRES: the run has no mounts yet (unmount_run()).
  explicit RunMounts(const RunPlace& place) : directory_(place.mounts()) {}

  // A place where what `fd` refers to is mounted: a directory, a file, or a namespace. Mounts below
  // it are not part of it. `fd` may be an O_PATH one, and may be closed afterwards.
  Result<std::string> bind(int fd);

 private:
  const std::string directory_;
  std::size_t count_ = 0;
};

// Unmounts all of it, also what a process before this one mounted. Nothing there is no error. What
// was mounted stays as it is.
Result<void> unmount_run(const RunPlace& place);

}  // namespace tulle::node
