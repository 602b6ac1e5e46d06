#include "node/image_staging.h"

#include "base/format.h"
#include "node/image_files.h"

#include <sys/file.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace tulle::node {

Result<ImageStaging> ImageStaging::create(const std::string& parent) {
  std::string path = parent + "/load-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr)
    return os_error(errno, fmt::format("create in {}", parent));
  TRY(OwnedFd lock, open_directory(path));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return os_error(errno, fmt::format("lock {}", path));
  }
  return ImageStaging(std::move(path), std::move(lock));
}

Result<std::vector<ImageStaging>> ImageStaging::adopt_leftovers(const std::string& parent) {
  std::vector<ImageStaging> leftovers;
  std::error_code error;
  for (std::filesystem::directory_iterator at(parent, error), end; !error && at != end;
       at.increment(error)) {
    std::string path = at->path().string();
    auto lock = open_directory(path);
    if (!lock || ::flock(lock->get(), LOCK_EX | LOCK_NB) != 0) continue;
    leftovers.push_back(ImageStaging(std::move(path), *std::move(lock)));
  }
  if (error) return os_error(error.value(), fmt::format("list {}", parent));
  return leftovers;
}

// What cannot be removed now is tried again when the store is next opened.
ImageStaging::~ImageStaging() {
  if (lock_) (void)remove_tree(path_).has_value();
}

}  // namespace tulle::node
