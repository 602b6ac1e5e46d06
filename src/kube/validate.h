// What a document must satisfy before it is stored, in upstream's words.
#pragma once

#include "base/result.h"
#include "kube/scheme.h"
#include "kube/status.h"

#include <boost/json/fwd.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace tulle::kube {

// Whether every value has the type that its schema says. The error is what upstream's decoder
// says, to be sent as 400 BadRequest: `Deployment in version "v1" cannot be handled as a
// Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of
// type int32`.
Result<void> check_types(const Schema& schema, std::string_view kind, std::string_view version,
                         const boost::json::value& document);

// All that is wrong with `object`, which was defaulted before; `old` is the stored object of an
// update, else null. Empty: valid. At most field_errors_max are reported.
// invalid() of kube/status.h makes the 422 of them.
// `object` must have a metadata.name (generateName was expanded before).
std::vector<StatusCause> validate(const KindDefinition& kind, const boost::json::object& object,
                                  const boost::json::object* old);

inline constexpr std::size_t field_errors_max = 100;

}  // namespace tulle::kube
