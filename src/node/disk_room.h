// How much of a disk may still be filled. A part stays free always: the machine has other uses for
// its disk, and what fills it to the brim harms them all.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>

namespace tulle::node {

struct DiskRoom {
  std::uint64_t capacity = 0;   // bytes
  std::uint64_t available = 0;  // bytes
  std::uint64_t files = 0;      // that there may be; 0: the file system does not count them
  std::uint64_t files_available = 0;

  // Bytes that images may still take.
  std::uint64_t for_images() const;
  // Files that images may still have.
  std::uint64_t files_for_images() const;
  // Of the capacity, what is not available, rounded up.
  unsigned used_percent() const;
  // Whether the node says DiskPressure: a twentieth is left at most, and not much at all, of bytes
  // or of files. Upstream asks for a tenth, which is a lot on a large disk.
  bool is_scarce() const;
};

// Of the disk that holds `path`. Blocking.
Result<DiskRoom> disk_room(const std::string& path);

// "1.4 MB": three digits at most, in powers of 1000 as disks are sold.
std::string human_size(std::uint64_t bytes);

}  // namespace tulle::node
