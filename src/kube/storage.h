// What controllers and node agent have agreed on about persistent volumes: which claim a pod's
// volume means, and about those of class local-path, which the controllers declare, while the agent
// has their directories.
#pragma once

#include <boost/json/fwd.hpp>

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

// The claim that `volume`, an element of spec.volumes of the pod of that name, means; empty for
// other kinds. An ephemeral one has a claim of its own, which comes and goes with the pod.
std::string claim_name(const boost::json::object& volume, std::string_view pod);

}  // namespace tulle::kube
