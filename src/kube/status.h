// metav1.Status: how every failure of the API is told to a client.
//
// ApiStatus is the error type of the API machinery: what is wrong with a request, in upstream's
// wording, since clients print it and some parse it. ApiResult<T> carries it; TRY works with it and
// turns a plain Error into the closest status.
#pragma once

#include "base/result.h"

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tulle::kube {

enum class Reason : std::uint8_t {
  unknown,
  bad_request,
  unauthorized,
  forbidden,
  not_found,
  method_not_allowed,
  not_acceptable,
  already_exists,
  conflict,
  gone,
  expired,
  request_entity_too_large,
  unsupported_media_type,
  invalid,
  too_many_requests,
  internal_error,
  service_unavailable,
  timeout,
  server_timeout,
  insufficient_storage,  // not one of upstream's: the disk is full
};
// "NotFound" and so on; "" for unknown.
std::string_view name(Reason reason);

// One cause in details.causes. `reason` is a CauseType such as "FieldValueInvalid".
struct StatusCause {
  std::string reason = {};
  std::string message = {};
  std::string field = {};
};

struct ApiStatus {
  int code = 500;  // the HTTP status
  Reason reason = Reason::internal_error;
  std::string message = {};

  // details; left out of the document where all are empty.
  std::string name = {};
  std::string group = {};
  std::string kind = {};  // upstream puts the resource ("pods") here, or the kind for `invalid`
  std::string uid = {};
  std::vector<StatusCause> causes = {};
  int retry_after_seconds = 0;  // also the Retry-After header

  std::string continue_token = {};  // metadata.continue of an expired list

  bool is(Reason other) const { return reason == other; }
};

// The document {"kind":"Status","apiVersion":"v1",...} with status: Failure.
boost::json::object to_json(const ApiStatus& status);
// The document as text, ended by a newline as upstream's is.
std::string to_text(const ApiStatus& status);

struct SuccessDetails {
  std::string name = {};
  std::string group = {};
  std::string resource = {};
  std::string uid = {};
};
// status: Success, as a delete answers.
boost::json::object success_status(const SuccessDetails& details);

// Reads a Status document that a server sent; what it lacks is derived from `http_code`.
ApiStatus parse_status(const boost::json::object& document, int http_code);

// --- The failures -------------------------------------------------------------------------------

struct GroupResource {
  std::string group = {};
  std::string resource = {};
};
// "deployments.apps", "pods".
std::string to_string(const GroupResource& resource);

ApiStatus not_found(const GroupResource& resource, std::string_view name);
// No such path or kind is served.
ApiStatus path_not_found();
ApiStatus already_exists(const GroupResource& resource, std::string_view name);
ApiStatus conflict(const GroupResource& resource, std::string_view name, std::string_view why);
// The resourceVersion sent is not the current one.
ApiStatus modified_conflict(const GroupResource& resource, std::string_view name);
ApiStatus precondition_conflict(const GroupResource& resource, std::string_view name,
                                std::string_view what, std::string_view wanted,
                                std::string_view actual);
// A cause's message is what follows the field: "Invalid value: -1: must be ...".
// REQUIRES: causes is not empty.
ApiStatus invalid(std::string_view group, std::string_view kind, std::string_view name,
                  std::vector<StatusCause> causes);
ApiStatus bad_request(std::string_view message);
// 400: `Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field
// "spec.x", ...`. Without a kind only the part from "strict" on. REQUIRES: errors is not empty.
ApiStatus strict_decoding_error(std::string_view version, std::string_view kind,
                                const std::vector<std::string>& errors);
ApiStatus forbidden(const GroupResource& resource, std::string_view name, std::string_view why);
ApiStatus unauthorized(std::string_view why = {});
ApiStatus method_not_allowed(const GroupResource& resource, std::string_view verb);
ApiStatus not_acceptable(const std::vector<std::string>& accepted);
ApiStatus unsupported_media_type(std::string_view sent, const std::vector<std::string>& accepted);
ApiStatus too_many_requests(std::string_view message, int retry_after_seconds);
ApiStatus expired(std::string_view message);
// The watch or list asked for a revision that compaction has removed.
ApiStatus too_old_resource_version(std::uint64_t asked, std::uint64_t oldest);
// 504 with cause ResourceVersionTooLarge: ask again in a second.
ApiStatus too_large_resource_version(std::uint64_t asked, std::uint64_t current);
ApiStatus gone(std::string_view message);
ApiStatus timeout(std::string_view message, int retry_after_seconds = 0);
ApiStatus server_timeout(const GroupResource& resource, std::string_view verb,
                         int retry_after_seconds = 0);
ApiStatus internal_error(std::string_view why);
ApiStatus service_unavailable(std::string_view why);
ApiStatus request_entity_too_large(std::string_view message);

// The closest status for a failure that knows nothing of the API.
ApiStatus from_error(const Error& error);
// The other way, for clients of the API that reason in Code.
Error to_error(const ApiStatus& status);

template <class T = void>
class [[nodiscard]] ApiResult : public std::expected<T, ApiStatus> {
 public:
  using std::expected<T, ApiStatus>::expected;
  ApiResult(ApiStatus status) : std::expected<T, ApiStatus>(std::unexpect, std::move(status)) {}
  ApiResult(const Error& error) : std::expected<T, ApiStatus>(std::unexpect, from_error(error)) {}
};

}  // namespace tulle::kube
