// From a container of a pod and its image to what the runtime is told.
#pragma once

#include "base/result.h"
#include "node/environment.h"
#include "node/image_manifest.h"
#include "node/oci_spec.h"
#include "node/places.h"

#include <boost/json/fwd.hpp>

namespace tulle::node {

struct SettingsInput {
  const boost::json::object& pod;
  const boost::json::object& container;
  const ImageConfig& image;
  const RunPlace& place;
};

// All but the user. Mounts what the run is to hold (node/run_mounts.h). Blocking. Errors:
// invalid_argument, when there is nothing to run.
Result<ContainerSettings> make_settings(const SettingsInput& input, const Environment& environment);

// The image's user, or whom securityContext names. Blocking; `rootfs` is mounted.
Result<ContainerUser> find_user(const SettingsInput& input, const std::string& rootfs);

}  // namespace tulle::node
