#include "node/archive_pack.h"

#include "base/check.h"
#include "base/format.h"
#include "node/digest.h"
#include "node/image_files.h"

#include <archive.h>
#include <archive_entry.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <vector>

namespace tulle::node {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t block_size = 64 * 1024;
constexpr std::size_t program_headers_max = 256;

struct FreeEntry {
  void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};
using Entry = std::unique_ptr<archive_entry, FreeEntry>;

Entry new_entry() {
  Entry entry(archive_entry_new());
  CHECK(entry != nullptr);
  return entry;
}

// A tar that is hashed while it is written.
class TarWriter final {
 public:
  Result<void> open(const std::string& path) {
    fd_ = OwnedFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd_) return os_error(errno, fmt::format("create {}", path));
    archive_write_set_format_pax_restricted(writer_.get());
    archive_write_set_bytes_per_block(writer_.get(), block_size);
    archive_write_set_bytes_in_last_block(writer_.get(), 1);
    return check(archive_write_open(writer_.get(), this, nullptr, write, nullptr));
  }

  Result<void> add(archive_entry* entry) {
    return check(archive_write_header(writer_.get(), entry));
  }

  // Adds `entry`, whose size is set, and its contents from `path`.
  Result<void> add_file(archive_entry* entry, const std::string& path) {
    const OwnedFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!file) return os_error(errno, fmt::format("open {}", path));
    TRY_VOID(add(entry));
    auto left = static_cast<std::uint64_t>(archive_entry_size(entry));
    std::vector<char> buffer(block_size);
    while (left > 0) {
      const ssize_t count =
          ::read(file.get(), buffer.data(), std::min<std::uint64_t>(left, buffer.size()));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return os_error(errno, fmt::format("read {}", path));
      if (count == 0) return failf(Code::conflict, "{} shrank while it was read", path);
      const auto size = static_cast<std::size_t>(count);
      if (archive_write_data(writer_.get(), buffer.data(), size) != count) return failure();
      left -= size;
    }
    return {};
  }

  Result<std::string> finish() {
    TRY_VOID(check(archive_write_close(writer_.get())));
    return hash_.finish();
  }

 private:
  struct FreeWriter {
    void operator()(archive* writer) const { archive_write_free(writer); }
  };

  static la_ssize_t write(archive* writer, void* self, const void* data, std::size_t size) {
    auto& tar = *static_cast<TarWriter*>(self);
    const std::string_view bytes(static_cast<const char*>(data), size);
    if (auto written = write_at(tar.fd_.get(), bytes, tar.size_); !written) {
      archive_set_error(writer, written.error().os_error, "%s", written.error().message.c_str());
      return -1;
    }
    tar.size_ += size;
    tar.hash_.update(bytes);
    return static_cast<la_ssize_t>(size);
  }

  Error failure() const {
    const char* text = archive_error_string(writer_.get());
    return fail(Code::io, text != nullptr ? text : "cannot be packed");
  }

  // A warning is that a name stays in its own character set.
  Result<void> check(int outcome) const {
    if (outcome >= ARCHIVE_WARN) return {};
    return failure();
  }

  OwnedFd fd_;
  std::uint64_t size_ = 0;
  Sha256 hash_;
  std::unique_ptr<archive, FreeWriter> writer_{archive_write_new()};
};

Result<void> read_exactly(int fd, void* into, std::size_t size, std::uint64_t offset) {
  const ssize_t count = ::pread(fd, into, size, static_cast<off_t>(offset));
  if (count == static_cast<ssize_t>(size)) return {};
  return fail(Code::invalid_argument, "is no executable program");
}

constexpr Elf64_Half host_machine() {
#if defined(__x86_64__)
  return EM_X86_64;
#elif defined(__aarch64__)
  return EM_AARCH64;
#elif defined(__riscv)
  return EM_RISCV;
#elif defined(__powerpc64__)
  return EM_PPC64;
#elif defined(__s390x__)
  return EM_S390;
#endif
}

// A program is static when it names no interpreter that would have to load it (ELF, PT_INTERP).
Result<void> check_static_executable(const std::string& path) {
  const OwnedFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return os_error(errno, "open");
  Elf64_Ehdr header{};
  TRY_VOID(read_exactly(fd.get(), &header, sizeof header, 0));
  const bool program =
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
      (header.e_type == ET_EXEC || header.e_type == ET_DYN) &&
      header.e_phentsize == sizeof(Elf64_Phdr) && header.e_phnum <= program_headers_max;
  if (!program) {
    return fail(Code::invalid_argument,
                "is no executable program (one static 64-bit ELF file, or a directory to be the "
                "root file system, can be imported)");
  }
  if (header.e_machine != host_machine()) {
    return fail(Code::invalid_argument, "is a program for another kind of machine");
  }
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr part{};
    TRY_VOID(read_exactly(fd.get(), &part, sizeof part, header.e_phoff + i * sizeof part));
    if (part.p_type != PT_INTERP) continue;
    return fail(Code::invalid_argument,
                "needs shared libraries; link it with -static, or import a directory that holds "
                "them");
  }
  return {};
}

Result<void> copy_attributes(const std::string& path, archive_entry* entry) {
  std::vector<char> names(64 * 1024);
  const ssize_t size = ::llistxattr(path.c_str(), names.data(), names.size());
  if (size < 0 && errno == ENOTSUP) return {};
  if (size < 0) return os_error(errno, fmt::format("list attributes of {}", path));
  std::vector<char> value(64 * 1024);
  for (const char* name = names.data(); name < names.data() + size; name += std::strlen(name) + 1) {
    const ssize_t length = ::lgetxattr(path.c_str(), name, value.data(), value.size());
    if (length < 0) continue;  // removed meanwhile, or not ours to read
    archive_entry_xattr_add_entry(entry, name, value.data(), static_cast<std::size_t>(length));
  }
  return {};
}

// All paths below `root`, sorted, so that the order of the disk does not show.
Result<std::vector<std::string>> paths_below(const std::string& root, ArchiveLimits limits) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::recursive_directory_iterator at(root, error), end; !error && at != end;
       at.increment(error)) {
    if (paths.size() == limits.entries_max) {
      return failf(Code::exhausted, "holds more than {} files", limits.entries_max);
    }
    paths.push_back(at->path().string());
  }
  if (error) return os_error(error.value(), "list");
  std::ranges::sort(paths);
  return paths;
}

// Packs the files of one directory; remembers inodes to find hard links.
class DirectoryPacker final {
 public:
  DirectoryPacker(TarWriter& tar, std::string root, ArchiveLimits limits)
      : tar_(tar), root_(std::move(root)), limits_(limits) {}

  Result<void> add(const std::string& path) {
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0) return os_error(errno, path);
    const Entry entry = new_entry();
    const std::string name = path == root_ ? "./" : "./" + path.substr(root_.size() + 1);
    archive_entry_copy_stat(entry.get(), &status);
    archive_entry_set_pathname(entry.get(), name.c_str());
    // Only what a layer can express: times of access and change are not part of the contents.
    archive_entry_unset_atime(entry.get());
    archive_entry_unset_ctime(entry.get());
    if (S_ISLNK(status.st_mode)) return add_symlink(path, entry.get());
    if (S_ISDIR(status.st_mode) || S_ISREG(status.st_mode)) {
      TRY_VOID(copy_attributes(path, entry.get()));
    }
    if (!S_ISREG(status.st_mode)) return add_special(status, entry.get());
    if (status.st_nlink > 1) {
      const auto [first, fresh] = links_.try_emplace({status.st_dev, status.st_ino}, name);
      if (!fresh) {
        archive_entry_set_hardlink(entry.get(), first->second.c_str());
        archive_entry_set_size(entry.get(), 0);
        return tar_.add(entry.get());
      }
    }
    bytes_ += static_cast<std::uint64_t>(status.st_size);
    if (bytes_ > limits_.bytes_max) {
      return failf(Code::exhausted, "holds more than {} bytes", limits_.bytes_max);
    }
    return tar_.add_file(entry.get(), path);
  }

 private:
  Result<void> add_symlink(const std::string& path, archive_entry* entry) {
    std::error_code error;
    const std::string target = fs::read_symlink(path, error).string();
    if (error) return os_error(error.value(), path);
    archive_entry_set_symlink(entry, target.c_str());
    archive_entry_set_size(entry, 0);
    return tar_.add(entry);
  }

  // A layer has no sockets, and no devices that a container could use.
  Result<void> add_special(const struct stat& status, archive_entry* entry) {
    if (!S_ISDIR(status.st_mode) && !S_ISFIFO(status.st_mode)) return {};
    archive_entry_set_size(entry, 0);
    return tar_.add(entry);
  }

  TarWriter& tar_;
  std::string root_;
  ArchiveLimits limits_;
  std::uint64_t bytes_ = 0;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
};

Entry root_owned(const char* name, unsigned type, unsigned mode) {
  Entry entry = new_entry();
  archive_entry_set_pathname(entry.get(), name);
  archive_entry_set_filetype(entry.get(), type);
  archive_entry_set_perm(entry.get(), static_cast<__LA_MODE_T>(mode));
  archive_entry_set_uid(entry.get(), 0);
  archive_entry_set_gid(entry.get(), 0);
  archive_entry_set_mtime(entry.get(), 0, 0);
  archive_entry_set_size(entry.get(), 0);
  return entry;
}

}  // namespace

Result<std::string> pack_executable(const std::string& path, const std::string& tar) {
  TRY_VOID(check_static_executable(path));
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return os_error(errno, "stat");
  std::error_code error;
  const std::string real = fs::canonical(path, error).string();
  if (error) return os_error(error.value(), "open");

  TarWriter writer;
  TRY_VOID(writer.open(tar));
  TRY_VOID(writer.add(root_owned("tmp/", AE_IFDIR, 01777).get()));
  const std::string name = fs::path(path).filename().string();
  const Entry program = root_owned(name.c_str(), AE_IFREG, 0755);
  archive_entry_set_size(program.get(), status.st_size);
  TRY_VOID(writer.add_file(program.get(), real));
  return writer.finish();
}

Result<std::string> pack_directory(const std::string& path, const std::string& tar,
                                   ArchiveLimits limits) {
  std::error_code error;
  const std::string root = fs::canonical(path, error).string();
  if (error) return os_error(error.value(), "open");
  if (root == "/") return fail(Code::invalid_argument, "the root of this machine is no image");
  TRY(const std::vector<std::string> paths, paths_below(root, limits));
  TarWriter writer;
  TRY_VOID(writer.open(tar));
  DirectoryPacker packer(writer, root, limits);
  TRY_VOID(packer.add(root));
  for (const std::string& item : paths) TRY_VOID(packer.add(item));
  return writer.finish();
}

}  // namespace tulle::node
