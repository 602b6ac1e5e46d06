// Makes room on the disk: when it is nearly full, images that no container uses go, those first
// that were not used for longest (kubelet's image garbage collection, with its defaults).
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "node/disk_room.h"
#include "node/image_store.h"
#include "rt/blocking.h"
#include "rt/task.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace tulle::node {

struct CollectionOptions {
  unsigned high_percent = 85;                  // of the disk used: then images go
  unsigned low_percent = 80;                   // until so much is used
  Duration age_min = std::chrono::minutes(2);  // of an image, since it was first seen
};

class ImageCollector final {
 public:
  using LookAtDisk = std::function<Result<DiskRoom>()>;

  // `look_at_disk` may block. `loop` and `blocking` must outlive it and its tasks.
  ImageCollector(rt::Loop& loop, rt::Blocking& blocking, ImageStore store, LookAtDisk look_at_disk,
                 CollectionOptions options = {});

  struct Collected {
    std::vector<std::string> names;  // of the images that went
    std::uint64_t bytes_short = 0;   // that could not be freed: nothing more may go
  };
  // To be called every few minutes, one call at a time: what is in use then counts as used then.
  // What was loaded by hand stays, because nothing would bring it back.
  rt::Task<Result<Collected>> collect();

 private:
  struct Times {
    Instant seen_at;  // first
    Instant used_at;  // last; when it was first seen where it never was
  };

  std::vector<StoredImage> candidates(std::vector<StoredImage> images);

  rt::Loop& loop_;
  rt::Blocking& blocking_;
  const ImageStore store_;
  const LookAtDisk look_at_disk_;
  const CollectionOptions options_;
  std::map<std::string, Times> times_;  // by image id
};

}  // namespace tulle::node
