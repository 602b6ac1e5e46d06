// What the containers of a pod find in /etc: hosts, hostname and resolv.conf. Pure but for the
// writing.
#pragma once

#include "base/result.h"
#include "node/places.h"

#include <boost/json/fwd.hpp>

#include <string>

namespace tulle::node {

struct EtcFiles {
  std::string hostname;
  std::string address;
  std::string dns_address;
  std::string cluster_domain;
};

// The pod by its name, its full name where spec.subdomain gives it one, and spec.hostAliases.
std::string hosts_text(const boost::json::object& pod, const EtcFiles& files);

// As dnsPolicy and dnsConfig say. "Default" means no search below the cluster's domain; the server
// is the cluster's all the same: in the pod's network there is no other.
std::string resolver_text(const boost::json::object& pod, const EtcFiles& files);

// All three. Blocking.
Result<void> write_etc(const PodPlace& place, const boost::json::object& pod,
                       const EtcFiles& files);

}  // namespace tulle::node
