// What a client wants to read (Accept) and what it sent (Content-Type).
#pragma once

#include "kube/status.h"

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tulle::kube {
class Scheme;
}

namespace tulle::apiserver {

// How objects are shown; always as JSON.
enum class Representation : std::uint8_t { object, table, metadata };

// The first entry of the Accept field that can be served; an empty field is JSON. 406 if none can.
kube::ApiResult<Representation> negotiate(std::string_view accept);

enum class PatchType : std::uint8_t { json, merge, strategic, apply };
// 415 for a content type that is no patch.
kube::ApiResult<PatchType> patch_type(std::string_view content_type);

// A document as sent: JSON, YAML or protobuf. `duplicate_fields` receives the paths of keys that
// stood twice. 400 for what does not parse, 415 for other content types.
kube::ApiResult<boost::json::value> decode_body(const kube::Scheme& scheme,
                                                std::string_view content_type,
                                                std::string_view body,
                                                std::vector<std::string>& duplicate_fields);

}  // namespace tulle::apiserver
