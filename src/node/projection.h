// A directory whose files change all at once under whoever reads them, laid out as kubelet does:
//
//   NAME      -> ..data/NAME
//   ..data    -> ..7
//   ..7/NAME
//
// A new state is written beside the old one, and ..data is renamed over. Blocking.
#pragma once

#include "base/result.h"
#include "node/volume_files.h"

#include <cstdint>
#include <optional>
#include <string>

namespace tulle::node {

// Makes `directory` hold exactly `files`; what does already is left alone. With a `group` the files
// belong to it, and it may read them. One writer at a time.
Result<void> write_projection(const std::string& directory, const VolumeFiles& files,
                              std::optional<std::uint32_t> group);

}  // namespace tulle::node
