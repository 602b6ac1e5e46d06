// Puts the entries of one layer's tar into a directory, one after the other. See archive_layer.h
// for what is kept and what is refused.
#pragma once

#include "base/owned_fd.h"
#include "base/result.h"
#include "node/archive.h"

#include <cstdint>
#include <string>

namespace tulle::node {

class LayerWriter final {
 public:
  // `root` is an open directory.
  LayerWriter(OwnedFd root, ArchiveLimits limits) : root_(std::move(root)), limits_(limits) {}

  // Adds the entry that `reader` has just read; reads its contents from there.
  Result<void> add(archive* reader, archive_entry* entry);

  // Bytes of file contents so far.
  std::uint64_t size() const { return size_; }

 private:
  // Where an entry goes: an open directory and a name in it.
  struct Place {
    OwnedFd parent;
    std::string name;
  };
  // What stood at a place before.
  enum class Former { nothing, directory, whiteout };

  Result<OwnedFd> resolve(const std::string& path, int flags) const;
  Result<OwnedFd> make_parents(const std::string& path) const;
  Result<Place> locate(const std::string& path) const;
  Result<Former> make_way(const Place& place, bool for_directory) const;

  Result<void> put_whiteout(const std::string& directory, std::string_view hidden) const;
  Result<void> put_root(archive_entry* entry) const;
  Result<void> put_directory(const Place& place, archive_entry* entry) const;
  Result<void> put_file(const Place& place, archive* reader, archive_entry* entry);
  Result<void> put_symlink(const Place& place, archive_entry* entry) const;
  Result<void> put_hardlink(const Place& place, const std::string& target) const;
  Result<void> put_fifo(const Place& place, archive_entry* entry) const;
  Result<void> put(const std::string& path, archive* reader, archive_entry* entry);

  OwnedFd root_;
  ArchiveLimits limits_;
  std::uint64_t entries_ = 0;
  std::uint64_t size_ = 0;
};

}  // namespace tulle::node
