// Discovery documents as JSON text (kube-api.md 1.2). Deterministic, so a hash of the text is a
// good ETag.
#pragma once

#include "kube/scheme.h"

#include <optional>
#include <string>
#include <string_view>

namespace tulle::kube {

// APIGroupDiscoveryList of apidiscovery.k8s.io/v2 (or "v2beta1"): of the core group for /api, of
// all others for /apis.
std::string aggregated_discovery_core(const Scheme& scheme, std::string_view version = "v2");
std::string aggregated_discovery_groups(const Scheme& scheme, std::string_view version = "v2");

// Legacy: GET /api, /apis, /apis/{group}, /api/v1 and /apis/{group}/{version}.
// `server_address` is "host:port", as upstream reports it for /api.
std::string api_versions(std::string_view server_address);
std::string api_group_list(const Scheme& scheme);
std::optional<std::string> api_group(const Scheme& scheme, std::string_view group);
std::optional<std::string> api_resource_list(const Scheme& scheme, std::string_view group,
                                             std::string_view version);

}  // namespace tulle::kube
