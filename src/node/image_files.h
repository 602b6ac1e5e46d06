// The few file system steps that the image store is built of: bounded reads, durable writes, and
// removal of trees that a hostile image has shaped.
#pragma once

#include "base/owned_fd.h"
#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace tulle::node {

Result<OwnedFd> open_directory(const std::string& path);

// Makes `path` and missing parents; the last gets exactly `mode` when it is made here.
Result<void> make_directories(const std::string& path, std::uint32_t mode);

// The whole file. Error: exhausted when it is larger than `bytes_max`.
Result<std::string> read_small_file(const std::string& path, std::uint64_t bytes_max);

// Writes beside `path` and renames over `path`: readers see the old contents or the new, whole. For
// what means nothing after the machine has gone down.
Result<void> write_file_whole(const std::string& path, std::string_view contents);

// Writes beside `path`, syncs, renames over `path`, syncs the directory: readers and crashes see
// the old contents or the new, whole.
Result<void> write_file_durably(const std::string& path, std::string_view contents);

// Writes all of `contents` at `offset`.
Result<void> write_at(int fd, std::string_view contents, std::uint64_t offset);

// Makes the entries of a directory durable.
Result<void> sync_directory(const std::string& path);

// Makes everything on the file system that holds `path` durable.
Result<void> sync_file_system(const std::string& path);

// Removes a file or a tree, without following links, whatever its depth: uses a constant number
// of descriptors and no recursion. What is already gone is no error; something mounted within the
// tree is one, and nothing of that is removed.
Result<void> remove_tree(const std::string& path);
Result<void> remove_tree_at(int parent, const std::string& name);

}  // namespace tulle::node
