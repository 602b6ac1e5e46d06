// Names of images: [REGISTRY/]REPOSITORY[:TAG][@DIGEST], with the defaults that everybody writes
// manifests by: `hello`, `hello:latest` and `docker.io/library/hello:latest` are one image.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

namespace tulle::node {

struct ImageReference {
  std::string registry;    // "docker.io" when none was written
  std::string repository;  // "library/hello"
  std::string tag;         // "latest" when neither tag nor digest was written, else perhaps empty
  std::string digest;      // "sha256:..." or empty

  // The whole name; two references are the same image name when these are equal.
  std::string normalized() const;

  // The shortest name that means the same: "hello:latest".
  std::string familiar() const;

  bool operator==(const ImageReference&) const = default;
};

inline constexpr std::string_view default_registry = "docker.io";
inline constexpr std::size_t reference_bytes_max = 512;

// Error: invalid_argument, which says what part is wrong.
Result<ImageReference> parse_image_reference(std::string_view text);

}  // namespace tulle::node
