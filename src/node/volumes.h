// The volumes of a pod that live on this node: emptyDir, configMap and secret.
#pragma once

#include "base/result.h"
#include "node/environment.h"
#include "node/oci_spec.h"
#include "node/places.h"

#include <boost/json/fwd.hpp>

#include <vector>

namespace tulle::node {

// Makes the volumes, and files for hosts, hostname and resolv.conf. Blocking. Done again it brings
// config maps and secrets up to date. Errors: not_found for what is referred to and missing,
// unsupported for other kinds of volumes.
struct PodFiles {
  std::string hostname;
  std::string address;
  std::string dns_address;
  std::string cluster_domain;
};
Result<void> write_pod_files(const PodPlace& place, const boost::json::object& pod,
                             const References& references, const PodFiles& files);

// What is mounted into `container`. Error: invalid_argument.
Result<std::vector<BindMount>> mounts_of(const PodPlace& place,
                                         const boost::json::object& container);

}  // namespace tulle::node
