// What stands in a volume that is made of the API's objects: configMap, secret, downwardAPI and
// projected. Pure.
#pragma once

#include "node/environment.h"

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <map>
#include <string>

namespace tulle::node {

struct VolumeFile {
  std::string text;
  std::uint32_t mode = 0;

  friend bool operator==(const VolumeFile&, const VolumeFile&) = default;
};

// By path within the volume: relative, without "..".
using VolumeFiles = std::map<std::string, VolumeFile>;

// Whether `volume`, an element of spec.volumes, is such a one. Containers cannot write to them.
bool is_made_of_objects(const boost::json::object& volume);

// Errors: not_found for what is referred to, missing, and not optional; invalid_argument for paths
// that lead out; unsupported for sources that this API has nothing for.
Result<VolumeFiles> volume_files(const boost::json::object& volume,
                                 const EnvironmentSources& sources);

// Relative, without "..".
bool stays_inside(std::string_view path);

}  // namespace tulle::node
