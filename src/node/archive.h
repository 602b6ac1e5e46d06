// Reading tar archives through libarchive, as Results. An archive is foreign input: what it holds
// is bounded by ArchiveLimits, and its names are normalised before use.
#pragma once

#include "base/owned_fd.h"
#include "base/result.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct archive;
struct archive_entry;

namespace tulle::node {

// For one archive, and again for each layer in it.
struct ArchiveLimits {
  std::uint64_t bytes_max = std::uint64_t{32} << 30;  // of contents, unpacked
  std::uint64_t entries_max = 1'000'000;
};

struct FreeReader {
  void operator()(archive* reader) const;
};
using ArchiveReader = std::unique_ptr<archive, FreeReader>;

// A tar reader that undoes gzip, zstd, xz and bzip2; nothing is opened yet.
ArchiveReader new_tar_reader();

// A reader whose one entry is the whole stream with its compression undone.
ArchiveReader new_stream_reader();

// The next entry, owned by the reader and valid until the next call; nullptr after the last.
// Error: malformed.
Result<archive_entry*> next_entry(archive* reader);

// The reader's last failure as an Error.
Error archive_failure(archive* reader);

// The entry's name or link target, whatever its character set; empty when it has none.
std::string entry_name(archive_entry* entry);
std::string entry_symlink(archive_entry* entry);
std::string entry_hardlink(archive_entry* entry);

// "./a//b/" and "/a/b" become "a/b", the root becomes "". Nothing when a component is "..".
std::optional<std::string> normalize_entry_name(std::string_view name);

// Calls `sink(bytes, offset)` for every piece of the current entry's contents; gaps are holes.
using ContentSink = std::function<Result<void>(std::string_view bytes, std::uint64_t offset)>;
Result<void> read_contents(archive* reader, const ContentSink& sink);

// A file of an archive, copied out.
struct StagedFile {
  std::string path;    // where the copy is
  std::string digest;  // of its contents
};

// The regular files of an archive by normalised name.
class StagedArchive final {
 public:
  // Follows the archive's own symbolic and hard links. Null when there is no such file.
  const StagedFile* find(std::string_view name) const;

 private:
  friend Result<StagedArchive> stage_archive(const std::string& path, const std::string& directory,
                                             ArchiveLimits limits);
  std::map<std::string, StagedFile, std::less<>> files_;
  std::map<std::string, std::string, std::less<>> links_;
};

inline constexpr std::uint64_t staged_entries_max = 20'000;

// Copies every regular file of the tar archive `path` (a file or a pipe, perhaps compressed) into
// the existing `directory`, under names of our own choosing. Errors: io when the file cannot be
// read, malformed when it is no whole archive, exhausted beyond the limits.
Result<StagedArchive> stage_archive(const std::string& path, const std::string& directory,
                                    ArchiveLimits limits);

}  // namespace tulle::node
