#include "node/disk_room.h"

#include "base/format.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

namespace tulle::node {
namespace {

constexpr std::uint64_t stays_free_percent = 5;
constexpr std::uint64_t scarce_part = 20;
constexpr std::uint64_t scarce_bytes_max = std::uint64_t{512} << 20;
constexpr std::uint64_t scarce_files_max = 10'000;

}  // namespace

std::uint64_t DiskRoom::for_images() const {
  const std::uint64_t stays_free = capacity / 100 * stays_free_percent;
  return available > stays_free ? available - stays_free : 0;
}

std::uint64_t DiskRoom::files_for_images() const {
  return files_available / 100 * (100 - stays_free_percent);
}

unsigned DiskRoom::used_percent() const {
  if (capacity == 0) return 0;
  const double free = static_cast<double>(available) * 100 / static_cast<double>(capacity);
  return 100 - static_cast<unsigned>(free);
}

bool DiskRoom::is_scarce() const {
  return available < std::min(capacity / scarce_part, scarce_bytes_max) ||
         files_available < std::min(files / scarce_part, scarce_files_max);
}

Result<DiskRoom> disk_room(const std::string& path) {
  struct statvfs status{};
  if (::statvfs(path.c_str(), &status) != 0) return os_error(errno, "look at the disk of " + path);
  // Some file systems make room for files as they come, and tell no number.
  const bool counts_files = status.f_files != 0;
  return DiskRoom{.capacity = std::uint64_t{status.f_blocks} * status.f_frsize,
                  .available = std::uint64_t{status.f_bavail} * status.f_frsize,
                  .files = status.f_files,
                  .files_available = counts_files ? std::uint64_t{status.f_favail}
                                                  : std::numeric_limits<std::uint64_t>::max()};
}

std::string human_size(std::uint64_t bytes) {
  static constexpr std::array units{"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < units.size()) {
    value /= 1000;
    ++unit;
  }
  if (unit == 0 || value >= 99.95) return fmt::format("{:.0f} {}", value, units.at(unit));
  return fmt::format("{:.1f} {}", value, units.at(unit));
}

}  // namespace tulle::node
