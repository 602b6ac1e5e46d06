// Decodes the protobuf bodies that typed Go clients send (application/vnd.kubernetes.protobuf).
#pragma once

#include "base/result.h"
#include "kube/scheme.h"

#include <boost/json/fwd.hpp>

#include <string_view>

namespace tulle::kube {

inline constexpr int protobuf_depth_max = 64;
inline constexpr std::size_t protobuf_values_max = 1'000'000;  // values in one document

// `body` is "k8s\0" followed by a runtime.Unknown whose raw bytes are a message of the kind that
// it names. The result is the JSON document that the same client would have sent, without the
// zero values that Go cannot tell from absent ones. Fields without a place in the schema are
// skipped, as protobuf demands.
// Errors: malformed (not well-formed, too deep, wrong wire type), unsupported (a kind that the
// scheme does not know). No length in the body is believed before it is checked.
Result<boost::json::value> decode_protobuf(const Scheme& scheme, std::string_view body);

}  // namespace tulle::kube
