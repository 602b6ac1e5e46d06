// OpenAPI v3 as kubectl reads it: apply, diff and explain (kube-api.md 1.3).
#pragma once

#include "kube/scheme.h"

#include <optional>
#include <string>
#include <string_view>

namespace tulle::kube {

// The path of a group version below /openapi/v3/: "api/v1", "apis/apps/v1".
std::string openapi_path(std::string_view group, std::string_view version);

// GET /openapi/v3: one entry per group version, its URL carrying the hash of its document.
// Costs the making of every document; cache it by Scheme::revision().
std::string openapi_index(const Scheme& scheme);

// GET /openapi/v3/{path}: JSON text, or nothing for an unknown group version. Deterministic.
std::optional<std::string> openapi_document(const Scheme& scheme, std::string_view path);

// The hash in the index and the ETag of a document: upper-case hexadecimal.
std::string openapi_hash(std::string_view document);

}  // namespace tulle::kube
