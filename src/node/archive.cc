#include "node/archive.h"

#include "base/check.h"
#include "base/format.h"
#include "node/digest.h"
#include "node/image_files.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace tulle::node {
namespace {

constexpr std::size_t block_size = 64 * 1024;
constexpr int links_followed_max = 8;

// Only filters that libarchive decodes itself: some of its others start programs.
ArchiveReader new_reader() {
  ArchiveReader reader(archive_read_new());
  CHECK(reader != nullptr);
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_filter_zstd(reader.get());
  archive_read_support_filter_xz(reader.get());
  archive_read_support_filter_bzip2(reader.get());
  return reader;
}

// libarchive converts names to the locale's character set where it can; where it cannot, only the
// other form is there.
std::string first_of(const char* native, const char* utf8) {
  if (native != nullptr) return native;
  return utf8 != nullptr ? utf8 : "";
}

// The normalised name that a symbolic link at `name` points to inside the archive.
std::string link_target(const std::string& name, const std::string& target) {
  if (target.starts_with('/')) return std::filesystem::path(target).lexically_normal().string();
  return (std::filesystem::path(name).parent_path() / target).lexically_normal().string();
}

}  // namespace

void FreeReader::operator()(archive* reader) const { archive_read_free(reader); }

ArchiveReader new_tar_reader() {
  ArchiveReader reader = new_reader();
  archive_read_support_format_tar(reader.get());
  archive_read_support_format_empty(reader.get());
  return reader;
}

ArchiveReader new_stream_reader() {
  ArchiveReader reader = new_reader();
  archive_read_support_format_raw(reader.get());
  archive_read_support_format_empty(reader.get());
  return reader;
}

Error archive_failure(archive* reader) {
  const char* text = archive_error_string(reader);
  const int number = archive_errno(reader);
  const bool system = number == EIO || number == ENOSPC || number == ENOMEM || number == EISDIR;
  if (system) return os_error(number, "read archive");
  return fail(Code::malformed, text != nullptr ? text : "not a readable archive");
}

Result<archive_entry*> next_entry(archive* reader) {
  archive_entry* entry = nullptr;
  int outcome = ARCHIVE_RETRY;
  while (outcome == ARCHIVE_RETRY) outcome = archive_read_next_header(reader, &entry);
  if (outcome == ARCHIVE_EOF) return nullptr;
  if (outcome < ARCHIVE_WARN) return archive_failure(reader);
  return entry;
}

std::string entry_name(archive_entry* entry) {
  return first_of(archive_entry_pathname(entry), archive_entry_pathname_utf8(entry));
}

std::string entry_symlink(archive_entry* entry) {
  return first_of(archive_entry_symlink(entry), archive_entry_symlink_utf8(entry));
}

std::string entry_hardlink(archive_entry* entry) {
  return first_of(archive_entry_hardlink(entry), archive_entry_hardlink_utf8(entry));
}

std::optional<std::string> normalize_entry_name(std::string_view name) {
  std::string normal;
  while (!name.empty()) {
    const std::size_t slash = std::min(name.find('/'), name.size());
    const std::string_view component = name.substr(0, slash);
    name.remove_prefix(std::min(slash + 1, name.size()));
    if (component.empty() || component == ".") continue;
    if (component == "..") return std::nullopt;
    if (!normal.empty()) normal += '/';
    normal += component;
  }
  return normal;
}

Result<void> read_contents(archive* reader, const ContentSink& sink) {
  while (true) {
    const void* data = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    const int outcome = archive_read_data_block(reader, &data, &size, &offset);
    if (outcome == ARCHIVE_EOF) return {};
    if (outcome == ARCHIVE_RETRY) continue;
    if (outcome < ARCHIVE_WARN) return archive_failure(reader);
    TRY_VOID(sink({static_cast<const char*>(data), size}, static_cast<std::uint64_t>(offset)));
  }
}

const StagedFile* StagedArchive::find(std::string_view name) const {
  std::string at = normalize_entry_name(name).value_or("");
  for (int followed = 0; followed <= links_followed_max; ++followed) {
    if (const auto file = files_.find(at); file != files_.end()) return &file->second;
    const auto link = links_.find(at);
    if (link == links_.end()) return nullptr;
    at = link->second;
  }
  return nullptr;
}

namespace {

// Copies the current entry's contents to `path`; `bytes_left` is lowered by their size.
Result<StagedFile> copy_out(archive* reader, const std::string& path, std::uint64_t& bytes_left) {
  const OwnedFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return os_error(errno, fmt::format("create {}", path));
  Sha256 hash;
  std::uint64_t end = 0;
  TRY_VOID(read_contents(reader, [&](std::string_view bytes, std::uint64_t offset) -> Result<void> {
    if (offset != end) return fail(Code::malformed, "holds a sparse file");
    if (bytes.size() > bytes_left) return fail(Code::exhausted, "its contents are too large");
    bytes_left -= bytes.size();
    end += bytes.size();
    hash.update(bytes);
    return write_at(fd.get(), bytes, offset);
  }));
  return StagedFile{.path = path, .digest = hash.finish()};
}

Result<OwnedFd> open_archive_file(const std::string& path) {
  OwnedFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return os_error(errno, "open");
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return os_error(errno, "stat");
  if (S_ISDIR(status.st_mode)) {
    return fail(Code::invalid_argument, "is a directory, and an archive is a file");
  }
  return fd;
}

}  // namespace

Result<StagedArchive> stage_archive(const std::string& path, const std::string& directory,
                                    ArchiveLimits limits) {
  TRY(const OwnedFd fd, open_archive_file(path));
  const ArchiveReader reader = new_tar_reader();
  if (archive_read_open_fd(reader.get(), fd.get(), block_size) != ARCHIVE_OK) {
    return archive_failure(reader.get());
  }
  StagedArchive staged;
  const std::uint64_t entries_max = std::min(limits.entries_max, staged_entries_max);
  for (std::uint64_t entries = 0;; ++entries) {
    TRY(archive_entry * entry, next_entry(reader.get()));
    if (entry == nullptr) return staged;
    if (entries == entries_max) {
      return failf(Code::exhausted, "holds more than {} files", entries_max);
    }
    const auto name = normalize_entry_name(entry_name(entry));
    if (!name || name->empty()) continue;
    if (const std::string target = entry_hardlink(entry); !target.empty()) {
      staged.links_[*name] = normalize_entry_name(target).value_or("");
    } else if (archive_entry_filetype(entry) == AE_IFLNK) {
      staged.links_[*name] = link_target(*name, entry_symlink(entry));
    } else if (archive_entry_filetype(entry) == AE_IFREG) {
      const std::string copy = fmt::format("{}/{}", directory, entries);
      TRY(staged.files_[*name], copy_out(reader.get(), copy, limits.bytes_max));
    }
  }
}

}  // namespace tulle::node
