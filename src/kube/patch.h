// The three patch formats of the API. Pure: documents in, a new document out.
//
// Errors are ready for the client: 400 for a patch that is not one, 422 for one that does not
// apply, 413 for one that is too large. Depth is bounded by the parser that made the documents.
#pragma once

#include "kube/status.h"

#include <boost/json/fwd.hpp>

#include <cstddef>

namespace tulle::kube {

struct Schema;

inline constexpr std::size_t json_patch_operations_max = 10'000;
// What the copies of one JSON patch may add to a document, so that few bytes cannot make many.
// About the size as text.
inline constexpr std::size_t json_patch_copied_bytes_max = 3 * 1024 * 1024;
// Nesting that a JSON patch may build by adding values below others.
inline constexpr std::size_t json_patch_depth_max = 256;

// RFC 6902: `patch` is the array of operations, of which all apply or none.
ApiResult<boost::json::object> apply_json_patch(const boost::json::object& live,
                                                const boost::json::value& patch);

// RFC 7386: null deletes, objects merge, everything else replaces.
ApiResult<boost::json::object> apply_merge_patch(const boost::json::object& live,
                                                 const boost::json::value& patch);

// Kubernetes' strategic merge patch. `schema` says which lists merge and by which key
// (patch_merge, patch_merge_key). Directives: $patch: replace|delete|merge in objects and in list
// elements, $deleteFromPrimitiveList/f, $setElementOrder/f, $retainKeys. null deletes.
ApiResult<boost::json::object> apply_strategic_merge(const Schema& schema,
                                                     const boost::json::object& live,
                                                     const boost::json::value& patch);

}  // namespace tulle::kube
