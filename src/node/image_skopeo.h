// Fetching images from registries with skopeo, which knows their protocols and credentials.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "node/image_reference.h"

#include <string>

namespace tulle::node {

struct SkopeoCopy {
  std::string program = "skopeo";  // a path, or a name looked up in PATH
  ImageReference reference;
  std::string archive;  // the oci-archive to write
  Duration time_max{};  // for all of it; then skopeo is killed
};

// Blocks until skopeo has ended. Errors: unsupported when it is not installed, timed_out,
// unavailable with the last line that it wrote to standard error.
Result<void> copy_with_skopeo(const SkopeoCopy& copy);

}  // namespace tulle::node
