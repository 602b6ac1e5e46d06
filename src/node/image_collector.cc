#include "node/image_collector.h"

#include <algorithm>

namespace tulle::node {

ImageCollector::ImageCollector(rt::Loop& loop, rt::Blocking& blocking, ImageStore store,
                               LookAtDisk look_at_disk, CollectionOptions options)
    : loop_(loop),
      blocking_(blocking),
      store_(std::move(store)),
      look_at_disk_(std::move(look_at_disk)),
      options_(options) {}

rt::Task<Result<ImageCollector::Collected>> ImageCollector::collect() {
  CO_TRY(std::vector<StoredImage> images,
         co_await rt::run_blocking(blocking_, [store = store_] { return store.images(); }));
  const std::vector<StoredImage> unused = candidates(std::move(images));
  CO_TRY(DiskRoom disk, co_await rt::run_blocking(blocking_, look_at_disk_));
  Collected collected;
  if (disk.used_percent() < options_.high_percent) co_return collected;
  for (const StoredImage& image : unused) {
    if (disk.used_percent() <= options_.low_percent) break;
    CO_TRY(const bool removed,
           co_await rt::run_blocking(
               blocking_, [store = store_, id = image.id] { return store.remove_unused(id); }));
    if (!removed) continue;
    collected.names.insert(collected.names.end(), image.names.begin(), image.names.end());
    // Its layers may be others' as well, so what it was worth is seen afterwards.
    CO_TRY(disk, co_await rt::run_blocking(blocking_, look_at_disk_));
  }
  const std::uint64_t wanted = disk.capacity / 100 * (100 - options_.low_percent);
  if (disk.used_percent() > options_.low_percent && wanted > disk.available) {
    collected.bytes_short = wanted - disk.available;
  }
  co_return collected;
}

// Those that may go, the first one first. Takes note of what is there and used.
std::vector<StoredImage> ImageCollector::candidates(std::vector<StoredImage> images) {
  const Instant now = loop_.now();
  std::map<std::string, Times> times;
  for (const StoredImage& image : images) {
    const auto known = times_.find(image.id);
    Times& each = times[image.id];
    each = known == times_.end() ? Times{.seen_at = now, .used_at = now} : known->second;
    if (image.is_pinned) each.used_at = now;
  }
  times_ = std::move(times);
  std::erase_if(images, [&](const StoredImage& image) {
    return image.is_pinned || !image.is_pulled ||
           now - times_.at(image.id).seen_at < options_.age_min;
  });
  std::ranges::sort(images, [this](const StoredImage& a, const StoredImage& b) {
    const Times& first = times_.at(a.id);
    const Times& second = times_.at(b.id);
    return std::tie(first.used_at, first.seen_at) < std::tie(second.used_at, second.seen_at);
  });
  return images;
}

}  // namespace tulle::node
