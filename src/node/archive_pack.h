// Makes a layer: an uncompressed tar of a program or of a directory. The same input gives the
// same bytes.
#pragma once

#include "base/result.h"
#include "node/archive.h"

#include <string>

namespace tulle::node {

// Packs the executable `path` as its file name in the root, owned by root, mode 0755, and a /tmp
// for all. Returns the tar's digest. Error: invalid_argument unless it is a static executable of
// this machine's kind, because nothing that it would load is in the image.
Result<std::string> pack_executable(const std::string& path, const std::string& tar);

// Packs all that is in the directory `path` with its owners, modes, attributes and hard links.
// Returns the tar's digest. Error: exhausted beyond the limits.
Result<std::string> pack_directory(const std::string& path, const std::string& tar,
                                   ArchiveLimits limits);

}  // namespace tulle::node
