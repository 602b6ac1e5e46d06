// What controllers and node agent have agreed on about persistent volumes of class local-path: the
// controllers declare them, the agent has their directories.
#pragma once

#include <string>
#include <string_view>

namespace tulle::kube {

// The provisioner, and the finalizer of volumes whose directory the agent has not removed yet.
inline constexpr std::string_view kLocalPathProvisioner = "tulle.dev/local-path";
// The annotation that says who provisioned a volume.
inline constexpr std::string_view kProvisionedBy = "pv.kubernetes.io/provisioned-by";
// The finalizer of volumes that are claimed.
inline constexpr std::string_view kVolumeProtection = "kubernetes.io/pv-protection";

// Where the directories of such volumes are, each named after its volume.
inline std::string local_volumes_directory(const std::string& data_dir) {
  return data_dir + "/volumes";
}

}  // namespace tulle::kube
