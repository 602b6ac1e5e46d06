// Where a load keeps its half-made things: a directory under <store>/tmp which nothing refers to.
#pragma once

#include "base/owned_fd.h"
#include "base/result.h"

#include <string>
#include <vector>

namespace tulle::node {

// Locked (flock) while it lives, so that others clean up only what a dead process left. Removed
// with all it holds on destruction. Movable.
class ImageStaging final {
 public:
  // REQUIRES: the caller holds the store's lock, or a cleaner could come between making it and
  // locking it.
  static Result<ImageStaging> create(const std::string& parent);

  // Takes over what dead processes left in `parent`; the caller drops them to remove them.
  // REQUIRES: the caller holds the store's lock.
  static Result<std::vector<ImageStaging>> adopt_leftovers(const std::string& parent);

  ImageStaging(ImageStaging&&) noexcept = default;
  ImageStaging& operator=(ImageStaging&&) = delete;
  ~ImageStaging();

  const std::string& path() const { return path_; }

 private:
  ImageStaging(std::string path, OwnedFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  OwnedFd lock_;  // empty once moved from
};

}  // namespace tulle::node
