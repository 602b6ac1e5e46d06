// The store's index: which names lead to which image. Kept as one small JSON file that is
// replaced as a whole. No I/O here.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace tulle::node {

inline constexpr std::uint64_t image_index_bytes_max = 16 << 20;

struct ImageIndex {
  struct Entry {
    std::string image;   // "sha256:..." of the image's configuration
    bool local = false;  // loaded by hand under a name without a registry host
    // What the name led to when it was pulled: digest of a manifest or index. Empty: never was.
    std::string pulled = {};
  };
  std::map<std::string, Entry, std::less<>> references;  // by normalised name
};

// Error: malformed.
Result<ImageIndex> parse_image_index(std::string_view json);
std::string write_image_index(const ImageIndex& index);

}  // namespace tulle::node
