// The volumes of a pod on this node.
#pragma once

#include "base/result.h"
#include "node/environment.h"
#include "node/oci_spec.h"
#include "node/places.h"
#include "node/run_mounts.h"
#include "node/volume_files.h"

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace tulle::node {

// A directory of the pod's own, which goes with it.
struct ScratchVolume {
  bool in_memory = false;
  std::int64_t bytes_max = 0;  // of one in memory; 0: half of the machine's
};

// Something of the machine, which stays when the pod goes.
struct HostVolume {
  std::string path;
  std::string type = {};      // as HostPathVolumeSource has it
  std::uint32_t mode = 0755;  // of a directory that is made
  bool may_have_group = false;
};

struct PlannedVolume {
  std::string name;
  std::variant<ScratchVolume, HostVolume, VolumeFiles> what;
};

enum class VolumesOf : std::uint8_t { every_kind, objects };

// What the volumes of the pod are to be, or only those that is_made_of_objects(). Pure. Errors name
// the volume: those of volume_files(), unsupported for other kinds, unavailable for a claim that
// has no volume yet.
Result<std::vector<PlannedVolume>> plan_volumes(const EnvironmentSources& sources, VolumesOf which);

// Whose a pod's volumes are to be, and when what a volume already holds is given to it, too.
struct VolumeGroup {
  enum class ChangePolicy : std::uint8_t { always, on_root_mismatch };
  std::uint32_t id = 0;
  ChangePolicy policy = ChangePolicy::always;
};

// spec.securityContext.fsGroup and fsGroupChangePolicy.
std::optional<VolumeGroup> group_of_volumes(const boost::json::object& pod);

// Makes them, or brings them up to date. Those that may have a group get it. Blocking.
Result<void> make_volumes(const PodPlace& place, const std::vector<PlannedVolume>& volumes,
                          std::optional<VolumeGroup> group);

// Unmounts what make_volumes() mounted; nothing there is no error. Blocking.
Result<void> unmount_volumes(const PodPlace& place);

// What a run of `container` has mounted. A subPath is made where it is missing, followed without
// leaving its volume, and held in `held`: other containers may write to the volume, and change what
// its name means. Blocking. Error: invalid_argument.
Result<std::vector<BindMount>> mounts_of(const PodPlace& place, const boost::json::object& pod,
                                         const boost::json::object& container,
                                         const Environment& environment, RunMounts& held);

}  // namespace tulle::node
