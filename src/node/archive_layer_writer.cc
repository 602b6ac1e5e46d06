#include "node/archive_layer_writer.h"

#include "base/format.h"
#include "node/image_files.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <limits>

namespace tulle::node {
namespace {

constexpr std::string_view whiteout_prefix = ".wh.";
constexpr std::string_view whiteout_metadata_prefix = ".wh..wh.";
constexpr std::string_view whiteout_opaque = ".wh..wh..opq";
constexpr mode_t implied_directory_mode = 0755;

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Does any component of `path` begin with `prefix`?
bool has_component_with_prefix(std::string_view path, std::string_view prefix) {
  while (true) {
    if (path.starts_with(prefix)) return true;
    const std::size_t slash = path.find('/');
    if (slash == std::string_view::npos) return false;
    path.remove_prefix(slash + 1);
  }
}

bool is_whiteout(const struct stat& status) {
  return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0);
}

Result<void> make_opaque(int directory) {
  if (::fsetxattr(directory, "trusted.overlay.opaque", "y", 1, 0) == 0) return {};
  return os_error(errno, "mark directory opaque");
}

Result<void> give_to(int fd, const char* name, archive_entry* entry) {
  const la_int64_t uid = archive_entry_uid(entry);
  const la_int64_t gid = archive_entry_gid(entry);
  constexpr la_int64_t id_max = std::numeric_limits<uid_t>::max() - 1;
  if (uid < 0 || uid > id_max || gid < 0 || gid > id_max) {
    return fail(Code::malformed, "its owner is out of range");
  }
  const int flags = AT_SYMLINK_NOFOLLOW | (*name == '\0' ? AT_EMPTY_PATH : 0);
  if (::fchownat(fd, name, static_cast<uid_t>(uid), static_cast<gid_t>(gid), flags) == 0) return {};
  return os_error(errno, "set owner");
}

std::array<timespec, 2> times_of(archive_entry* entry) {
  const timespec modified{.tv_sec = archive_entry_mtime(entry),
                          .tv_nsec = archive_entry_mtime_nsec(entry)};
  return {modified, modified};
}

// Attributes that mean something to overlayfs or to this machine's security modules are not the
// image's to set.
bool may_set_attribute(std::string_view name) {
  if (name == "security.capability") return true;
  return name.starts_with("user.") && !name.starts_with("user.overlay.");
}

Result<void> set_attributes(int fd, archive_entry* entry) {
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  archive_entry_xattr_reset(entry);
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
    if (name == nullptr || !may_set_attribute(name)) continue;
    if (::fsetxattr(fd, name, value, size, 0) == 0 || errno == ENOTSUP) continue;
    return os_error(errno, fmt::format("set attribute {}", name));
  }
  return {};
}

// The owner comes first: changing it clears set-id bits and capabilities.
Result<void> set_metadata(int fd, archive_entry* entry) {
  TRY_VOID(give_to(fd, "", entry));
  if (::fchmod(fd, archive_entry_perm(entry)) != 0) return os_error(errno, "set mode");
  TRY_VOID(set_attributes(fd, entry));
  if (archive_entry_mtime_is_set(entry) != 0) {
    const auto times = times_of(entry);
    if (::futimens(fd, times.data()) != 0) return os_error(errno, "set times");
  }
  return {};
}

}  // namespace

// Opens `path` as seen by a process whose root directory is the layer.
Result<OwnedFd> LayerWriter::resolve(const std::string& path, int flags) const {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  const char* name = path.empty() ? "." : path.c_str();
  OwnedFd fd(static_cast<int>(::syscall(SYS_openat2, root_.get(), name, &how, sizeof how)));
  if (!fd) return os_error(errno, "open in layer");
  return fd;
}

// Opens directory `path`, making what of it is missing.
Result<OwnedFd> LayerWriter::make_parents(const std::string& path) const {
  auto whole = resolve(path, O_PATH | O_DIRECTORY);
  if (whole || whole.error().os_error != ENOENT) return whole;
  TRY(OwnedFd at, resolve("", O_PATH | O_DIRECTORY));
  for (std::size_t end = 0; end < path.size();) {
    const std::size_t begin = end;
    end = std::min(path.find('/', begin + 1), path.size());
    const std::string upto = path.substr(0, end);
    const std::string name = name_of(upto);
    if (::mkdirat(at.get(), name.c_str(), implied_directory_mode) != 0 && errno != EEXIST) {
      return os_error(errno, "make directory");
    }
    OwnedFd next(::openat(at.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (next) {
      at = std::move(next);
    } else {
      // A link, perhaps a dangling one, which then fails here.
      TRY(at, resolve(upto, O_PATH | O_DIRECTORY));
    }
  }
  return at;
}

Result<LayerWriter::Place> LayerWriter::locate(const std::string& path) const {
  auto parent = make_parents(parent_of(path));
  if (parent) return Place{.parent = *std::move(parent), .name = name_of(path)};
  const int number = parent.error().os_error;
  const bool layer_at_fault =
      number == ENOTDIR || number == ENOENT || number == ELOOP || number == EXDEV;
  if (layer_at_fault) return fail(Code::malformed, "a parent of it is no directory of the layer");
  return std::move(parent).error();
}

// Removes what stands at `place`, except a directory where a directory comes.
Result<LayerWriter::Former> LayerWriter::make_way(const Place& place, bool for_directory) const {
  struct stat status{};
  if (::fstatat(place.parent.get(), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return Former::nothing;
    return os_error(errno, "stat");
  }
  if (for_directory && S_ISDIR(status.st_mode)) return Former::directory;
  TRY_VOID(remove_tree_at(place.parent.get(), place.name));
  return is_whiteout(status) ? Former::whiteout : Former::nothing;
}

Result<void> LayerWriter::put_whiteout(const std::string& directory,
                                       std::string_view hidden) const {
  if (hidden.empty() || hidden == "." || hidden == "..") {
    return fail(Code::malformed, "it hides no name");
  }
  TRY(const Place place, locate(fmt::format("{}/{}", directory, hidden)));
  struct stat status{};
  if (::fstatat(place.parent.get(), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
    // A whiteout concerns lower layers only, so what this layer itself puts here stays.
    if (!S_ISDIR(status.st_mode)) return {};
    const OwnedFd fd(::openat(place.parent.get(), place.name.c_str(),
                              O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return os_error(errno, "open");
    return make_opaque(fd.get());
  }
  if (::mknodat(place.parent.get(), place.name.c_str(), S_IFCHR, makedev(0, 0)) == 0) return {};
  return os_error(errno, "make whiteout");
}

Result<void> LayerWriter::put_root(archive_entry* entry) const {
  if (archive_entry_filetype(entry) != AE_IFDIR) {
    return fail(Code::malformed, "the root is no directory");
  }
  return set_metadata(root_.get(), entry);
}

Result<void> LayerWriter::put_directory(const Place& place, archive_entry* entry) const {
  TRY(const Former former, make_way(place, true));
  if (former != Former::directory && ::mkdirat(place.parent.get(), place.name.c_str(), 0700) != 0) {
    return os_error(errno, "make directory");
  }
  const OwnedFd fd(::openat(place.parent.get(), place.name.c_str(),
                            O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return os_error(errno, "open directory");
  // It was whited out and made anew, so nothing of the lower layers may shine through.
  if (former == Former::whiteout) TRY_VOID(make_opaque(fd.get()));
  return set_metadata(fd.get(), entry);
}

Result<void> LayerWriter::put_file(const Place& place, archive* reader, archive_entry* entry) {
  const la_int64_t size = archive_entry_size(entry);
  if (size < 0) return fail(Code::malformed, "its size is negative");
  if (static_cast<std::uint64_t>(size) > limits_.bytes_max - size_) {
    return failf(Code::exhausted, "the layer is larger than {} bytes", limits_.bytes_max);
  }
  size_ += static_cast<std::uint64_t>(size);
  TRY_VOID(make_way(place, false));
  const OwnedFd fd(::openat(place.parent.get(), place.name.c_str(),
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return os_error(errno, "create");
  TRY_VOID(read_contents(reader, [&](std::string_view bytes, std::uint64_t offset) -> Result<void> {
    const auto end = static_cast<std::uint64_t>(size);
    if (offset > end || bytes.size() > end - offset) {
      return fail(Code::malformed, "its contents exceed its size");
    }
    return write_at(fd.get(), bytes, offset);
  }));
  if (::ftruncate(fd.get(), size) != 0) return os_error(errno, "set size");
  return set_metadata(fd.get(), entry);
}

Result<void> LayerWriter::put_symlink(const Place& place, archive_entry* entry) const {
  const std::string target = entry_symlink(entry);
  if (target.empty()) return fail(Code::malformed, "a link without a target");
  TRY_VOID(make_way(place, false));
  const int parent = place.parent.get();
  if (::symlinkat(target.c_str(), parent, place.name.c_str()) != 0) {
    return os_error(errno, "make link");
  }
  TRY_VOID(give_to(parent, place.name.c_str(), entry));
  const auto times = times_of(entry);
  if (::utimensat(parent, place.name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
    return os_error(errno, "set times");
  }
  return {};
}

Result<void> LayerWriter::put_hardlink(const Place& place, const std::string& target) const {
  const auto path = normalize_entry_name(target);
  if (!path || path->empty()) {
    return failf(Code::malformed, "its target {} is not in the layer", target);
  }
  const auto from = resolve(parent_of(*path), O_PATH | O_DIRECTORY);
  struct stat status{};
  const bool exists =
      from && ::fstatat(from->get(), name_of(*path).c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
  if (!exists || S_ISDIR(status.st_mode) || is_whiteout(status)) {
    return failf(Code::malformed, "its target {} is no file of the layer", target);
  }
  struct stat here{};
  const int parent = place.parent.get();
  if (::fstatat(parent, place.name.c_str(), &here, AT_SYMLINK_NOFOLLOW) == 0 &&
      here.st_ino == status.st_ino) {
    return {};
  }
  TRY_VOID(make_way(place, false));
  if (::linkat(from->get(), name_of(*path).c_str(), parent, place.name.c_str(), 0) == 0) return {};
  // Making way may have removed a directory that held the target.
  if (errno == ENOENT) return failf(Code::malformed, "its target {} is gone", target);
  return os_error(errno, "make hard link");
}

Result<void> LayerWriter::put_fifo(const Place& place, archive_entry* entry) const {
  TRY_VOID(make_way(place, false));
  const int parent = place.parent.get();
  const char* name = place.name.c_str();
  if (::mkfifoat(parent, name, 0600) != 0) return os_error(errno, "make FIFO");
  TRY_VOID(give_to(parent, name, entry));
  if (::fchmodat(parent, name, archive_entry_perm(entry), 0) != 0) {
    return os_error(errno, "set mode");
  }
  return {};
}

Result<void> LayerWriter::put(const std::string& path, archive* reader, archive_entry* entry) {
  const std::string name = name_of(path);
  if (name == whiteout_opaque) {
    TRY_VOID(make_parents(parent_of(path)));
    TRY(const OwnedFd directory, resolve(parent_of(path), O_RDONLY | O_DIRECTORY));
    return make_opaque(directory.get());
  }
  // Bookkeeping of aufs, that layers of old builders still hold.
  if (has_component_with_prefix(path, whiteout_metadata_prefix)) return {};
  if (has_component_with_prefix(parent_of(path), whiteout_prefix)) {
    return fail(Code::malformed, "it lies below a whiteout");
  }
  if (name.starts_with(whiteout_prefix)) {
    return put_whiteout(parent_of(path), std::string_view(name).substr(whiteout_prefix.size()));
  }
  const std::string hardlink = entry_hardlink(entry);
  const auto type = archive_entry_filetype(entry);
  const bool device_or_socket = type == AE_IFCHR || type == AE_IFBLK || type == AE_IFSOCK;
  if (hardlink.empty() && device_or_socket) return {};
  TRY(const Place place, locate(path));
  if (!hardlink.empty()) return put_hardlink(place, hardlink);
  if (type == AE_IFDIR) return put_directory(place, entry);
  if (type == AE_IFREG) return put_file(place, reader, entry);
  if (type == AE_IFLNK) return put_symlink(place, entry);
  if (type == AE_IFIFO) return put_fifo(place, entry);
  return fail(Code::malformed, "its type is unknown");
}

Result<void> LayerWriter::add(archive* reader, archive_entry* entry) {
  if (++entries_ > limits_.entries_max) {
    return failf(Code::exhausted, "the layer holds more than {} entries", limits_.entries_max);
  }
  const std::string name = entry_name(entry);
  const auto path = normalize_entry_name(name);
  if (name.empty() || !path) {
    return failf(Code::malformed, "entry '{}': the name leads out of the layer", name);
  }
  auto outcome = path->empty() ? put_root(entry) : put(*path, reader, entry);
  if (!outcome) return std::move(outcome).error().context(fmt::format("entry '{}'", name));
  return {};
}

}  // namespace tulle::node
