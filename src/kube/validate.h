// What a document must satisfy before it is stored, in upstream's words.
#pragma once

#include "base/result.h"
#include "kube/scheme.h"

#include <boost/json/fwd.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace tulle::kube {

// One thing that is wrong (meta/v1 StatusCause).
struct FieldError {
  std::string reason;   // "FieldValueInvalid", "FieldValueRequired", ...
  std::string message;  // "Invalid value: -1: must be greater than or equal to 0"
  std::string field;    // "spec.replicas"
};

// Whether every value has the type that its schema says. The error is what upstream's decoder
// says, to be sent as 400 BadRequest: `Deployment in version "v1" cannot be handled as a
// Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of
// type int32`.
Result<void> check_types(const Schema& schema, std::string_view kind, std::string_view version,
                         const boost::json::value& document);

// All that is wrong with `object`, which was defaulted before; `old` is the stored object of an
// update, else null. Empty: valid. At most kFieldErrorsMax are reported.
// `object` must have a metadata.name (generateName was expanded before).
std::vector<FieldError> validate(const KindDefinition& kind, const boost::json::object& object,
                                 const boost::json::object* old);

constexpr std::size_t kFieldErrorsMax = 100;

// The message of the 422: `Deployment.apps "web" is invalid: spec.replicas: Invalid value: ...`;
// several errors are put in brackets.
std::string invalid_message(const KindDefinition& kind, std::string_view name,
                            const std::vector<FieldError>& errors);

// Upstream's complaints about `text`, empty if it is fine. dns_subdomain: RFC 1123 subdomain, up
// to 253 characters; dns_label: RFC 1123 label, up to 63.
std::vector<std::string> check_dns_subdomain(std::string_view text);
std::vector<std::string> check_dns_label(std::string_view text);
std::vector<std::string> check_qualified_name(std::string_view text);  // a label's key
std::vector<std::string> check_label_value(std::string_view text);

}  // namespace tulle::kube
