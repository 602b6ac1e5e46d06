// Unpacking one layer of an image into a directory that overlayfs can stack
// (OCI image-spec, layer.md; kernel Documentation/filesystems/overlayfs.rst).
#pragma once

#include "base/result.h"
#include "node/archive.h"

#include <cstdint>
#include <string>

namespace tulle::node {

struct UnpackedLayer {
  std::string diff_digest;  // of the layer's tar stream with its compression undone
  std::uint64_t size = 0;   // bytes of file contents
};

// Unpacks the tar at `tar`, perhaps compressed, into the existing empty directory `target`.
//
// Kept: modes with set-id bits, owners, modification times of files, hard links, FIFOs, `user.*`
// attributes and file capabilities. Whiteouts become overlayfs's: a character device 0/0 for
// `.wh.NAME`, the attribute trusted.overlay.opaque for `.wh..wh..opq`. Left out: device nodes (the
// runtime makes /dev), sockets, other attributes.
//
// The layer is foreign input. Names are resolved inside `target` as if it were the root
// (openat2 RESOLVE_IN_ROOT), so no link or absolute name leads out; a name with ".." is malformed.
// Errors: malformed, exhausted beyond `limits`, io, permission_denied when not root. After an
// error `target` holds part of the layer and is to be removed by the caller.
Result<UnpackedLayer> unpack_layer(const std::string& tar, const std::string& target,
                                   ArchiveLimits limits);

}  // namespace tulle::node
