// ResourceQuotas (core/v1): what objects use of them. Pure; the API server refuses by it, and a
// controller writes down how much is used.
#pragma once

#include "kube/resources.h"

#include <string_view>

namespace tulle::kube {

// What one object uses, under every name that a quota may give it: "pods", "count/pods",
// "requests.cpu" and "cpu", "services.nodeports", "requests.storage", "count/deployments.apps".
// A pod that has ended uses nothing but its count. No two resources share a name. `group` and
// `plural` are those of the object's resource.
Resources quota_usage(std::string_view group, std::string_view plural,
                      const boost::json::object& object);

// Whether the quota is for this object at all, by its scopes. Scopes know only pods.
bool quota_covers(const boost::json::object& quota, std::string_view group, std::string_view plural,
                  const boost::json::object& object);

}  // namespace tulle::kube
