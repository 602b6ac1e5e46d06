#include "kube/status.h"

#include "base/check.h"
#include "kube/object.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <cerrno>

namespace tulle::kube {

namespace {

// The text as a Go %q shows it; the texts here are names, so quotes and backslashes suffice.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

// A status about one object, or about a resource where `name` is empty.
ApiStatus about(int code, Reason reason, const GroupResource& resource, std::string_view name,
                std::string message) {
  ApiStatus status{.code = code, .reason = reason, .message = std::move(message)};
  status.name = name;
  status.group = resource.group;
  status.kind = resource.resource;
  return status;
}

ApiStatus plain(int code, Reason reason, std::string message) {
  return {.code = code, .reason = reason, .message = std::move(message)};
}

struct ReasonRow {
  Reason reason;
  std::string_view name;
  int code;  // the HTTP status that stands for the reason where a server sent no document
  Code error;
};

constexpr std::array reasons{
    ReasonRow{Reason::unknown, "", 0, Code::internal},
    ReasonRow{Reason::bad_request, "BadRequest", 400, Code::invalid_argument},
    ReasonRow{Reason::unauthorized, "Unauthorized", 401, Code::permission_denied},
    ReasonRow{Reason::forbidden, "Forbidden", 403, Code::permission_denied},
    ReasonRow{Reason::not_found, "NotFound", 404, Code::not_found},
    ReasonRow{Reason::method_not_allowed, "MethodNotAllowed", 405, Code::unsupported},
    ReasonRow{Reason::not_acceptable, "NotAcceptable", 406, Code::unsupported},
    ReasonRow{Reason::already_exists, "AlreadyExists", 409, Code::already_exists},
    ReasonRow{Reason::conflict, "Conflict", 409, Code::conflict},
    ReasonRow{Reason::gone, "Gone", 410, Code::expired},
    ReasonRow{Reason::expired, "Expired", 410, Code::expired},
    ReasonRow{Reason::request_entity_too_large, "RequestEntityTooLarge", 413, Code::exhausted},
    ReasonRow{Reason::unsupported_media_type, "UnsupportedMediaType", 415, Code::unsupported},
    ReasonRow{Reason::invalid, "Invalid", 422, Code::invalid_argument},
    ReasonRow{Reason::too_many_requests, "TooManyRequests", 429, Code::unavailable},
    ReasonRow{Reason::internal_error, "InternalError", 500, Code::internal},
    ReasonRow{Reason::service_unavailable, "ServiceUnavailable", 503, Code::unavailable},
    ReasonRow{Reason::timeout, "Timeout", 504, Code::timed_out},
    ReasonRow{Reason::server_timeout, "ServerTimeout", 500, Code::timed_out},
    ReasonRow{Reason::insufficient_storage, "InsufficientStorage", 507, Code::unavailable},
};

const ReasonRow& row_of(Reason reason) {
  const auto* row = std::ranges::find(reasons, reason, &ReasonRow::reason);
  CHECK(row != reasons.end());
  return *row;
}

// What a code means where a server sent no reason; of 409 and 410 the wider one.
Reason reason_of_code(int code) {
  if (code == 409) return Reason::conflict;
  const auto* row = std::ranges::find(reasons, code, &ReasonRow::code);
  return row == reasons.end() ? Reason::unknown : row->reason;
}

json::object details_of(const ApiStatus& status) {
  json::object details;
  const auto put = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) details[key] = value;
  };
  put("name", status.name);
  put("group", status.group);
  put("kind", status.kind);
  put("uid", status.uid);
  if (!status.causes.empty()) {
    json::array& causes = details["causes"].emplace_array();
    for (const StatusCause& cause : status.causes) {
      json::object entry;
      if (!cause.reason.empty()) entry["reason"] = cause.reason;
      if (!cause.message.empty()) entry["message"] = cause.message;
      if (!cause.field.empty()) entry["field"] = cause.field;
      causes.emplace_back(std::move(entry));
    }
  }
  if (status.retry_after_seconds > 0) details["retryAfterSeconds"] = status.retry_after_seconds;
  return details;
}

}  // namespace

std::string_view name(Reason reason) { return row_of(reason).name; }

json::object to_json(const ApiStatus& status) {
  json::object metadata;
  if (!status.continue_token.empty()) metadata["continue"] = status.continue_token;
  json::object document{{"kind", "Status"},
                        {"apiVersion", "v1"},
                        {"metadata", std::move(metadata)},
                        {"status", "Failure"},
                        {"message", status.message}};
  if (status.reason != Reason::unknown) document["reason"] = name(status.reason);
  if (json::object details = details_of(status); !details.empty())
    document["details"] = std::move(details);
  document["code"] = status.code;
  return document;
}

std::string to_text(const ApiStatus& status) { return json::serialize(to_json(status)) + "\n"; }

json::object success_status(const SuccessDetails& details) {
  ApiStatus described;
  described.name = details.name;
  described.group = details.group;
  described.kind = details.resource;
  described.uid = details.uid;
  return {{"kind", "Status"},
          {"apiVersion", "v1"},
          {"metadata", json::object()},
          {"status", "Success"},
          {"details", details_of(described)}};
}

ApiStatus parse_status(const json::object& document, int http_code) {
  ApiStatus status;
  status.code = static_cast<int>(integer_at(document, "code", http_code));
  const auto* row = std::ranges::find(reasons, string_at(document, "reason"), &ReasonRow::name);
  status.reason =
      row == reasons.end() || row->name.empty() ? reason_of_code(status.code) : row->reason;
  status.message = string_at(document, "message");
  if (status.message.empty())
    status.message = fmt::format("the server answered {} without a message", status.code);
  status.name = string_at(document, "details.name");
  status.group = string_at(document, "details.group");
  status.kind = string_at(document, "details.kind");
  status.uid = string_at(document, "details.uid");
  status.retry_after_seconds = static_cast<int>(integer_at(document, "details.retryAfterSeconds"));
  for (const json::value& value : array_at(document, "details.causes")) {
    const json::object& cause = object_or_empty(value);
    status.causes.push_back({.reason = std::string(string_at(cause, "reason")),
                             .message = std::string(string_at(cause, "message")),
                             .field = std::string(string_at(cause, "field"))});
  }
  status.continue_token = string_at(document, "metadata.continue");
  return status;
}

// --- The failures -------------------------------------------------------------------------------

std::string to_string(const GroupResource& resource) {
  return resource.group.empty() ? resource.resource : resource.resource + "." + resource.group;
}

ApiStatus not_found(const GroupResource& resource, std::string_view name) {
  return about(404, Reason::not_found, resource, name,
               fmt::format("{} {} not found", to_string(resource), quoted(name)));
}

ApiStatus path_not_found() {
  return plain(404, Reason::not_found, "the server could not find the requested resource");
}

ApiStatus already_exists(const GroupResource& resource, std::string_view name) {
  return about(409, Reason::already_exists, resource, name,
               fmt::format("{} {} already exists", to_string(resource), quoted(name)));
}

ApiStatus conflict(const GroupResource& resource, std::string_view name, std::string_view why) {
  return about(409, Reason::conflict, resource, name,
               fmt::format("Operation cannot be fulfilled on {} {}: {}", to_string(resource),
                           quoted(name), why));
}

ApiStatus modified_conflict(const GroupResource& resource, std::string_view name) {
  return conflict(resource, name,
                  "the object has been modified; please apply your changes to the latest version "
                  "and try again");
}

ApiStatus precondition_conflict(const GroupResource& resource, std::string_view name,
                                std::string_view what, std::string_view wanted,
                                std::string_view actual) {
  return conflict(resource, name,
                  fmt::format("Precondition failed: {} in precondition: {}, {} in object meta: {}",
                              what, wanted, what, actual));
}

ApiStatus invalid(std::string_view group, std::string_view kind, std::string_view name,
                  std::vector<StatusCause> causes) {
  CHECK(!causes.empty());
  std::vector<std::string> problems;
  for (const StatusCause& cause : causes) {
    std::string problem =
        cause.field.empty() ? cause.message : fmt::format("{}: {}", cause.field, cause.message);
    if (std::ranges::find(problems, problem) == problems.end())
      problems.push_back(std::move(problem));
  }
  const std::string list =
      problems.size() == 1 ? problems.front() : fmt::format("[{}]", fmt::join(problems, ", "));
  const GroupResource qualified{.group = std::string(group), .resource = std::string(kind)};
  ApiStatus status =
      about(422, Reason::invalid, qualified, name,
            fmt::format("{} {} is invalid: {}", to_string(qualified), quoted(name), list));
  status.causes = std::move(causes);
  return status;
}

ApiStatus bad_request(std::string_view message) {
  return plain(400, Reason::bad_request, std::string(message));
}

ApiStatus strict_decoding_error(std::string_view version, std::string_view kind,
                                const std::vector<std::string>& errors) {
  CHECK(!errors.empty());
  const std::string what = fmt::format("strict decoding error: {}", fmt::join(errors, ", "));
  if (kind.empty()) return bad_request(what);
  return bad_request(
      fmt::format("{0} in version \"{1}\" cannot be handled as a {0}: {2}", kind, version, what));
}

ApiStatus forbidden(const GroupResource& resource, std::string_view name, std::string_view why) {
  std::string message;
  if (resource.resource.empty())
    message = fmt::format("forbidden: {}", why);
  else if (name.empty())
    message = fmt::format("{} is forbidden: {}", to_string(resource), why);
  else
    message = fmt::format("{} {} is forbidden: {}", to_string(resource), quoted(name), why);
  return about(403, Reason::forbidden, resource, name, std::move(message));
}

ApiStatus unauthorized(std::string_view why) {
  return plain(401, Reason::unauthorized, std::string(why.empty() ? "Unauthorized" : why));
}

ApiStatus method_not_allowed(const GroupResource& resource, std::string_view verb) {
  return about(405, Reason::method_not_allowed, resource, {},
               fmt::format("{} is not supported on resources of kind {}", verb,
                           quoted(to_string(resource))));
}

ApiStatus not_acceptable(const std::vector<std::string>& accepted) {
  return plain(
      406, Reason::not_acceptable,
      fmt::format("only the following media types are accepted: {}", fmt::join(accepted, ", ")));
}

ApiStatus unsupported_media_type(std::string_view sent, const std::vector<std::string>& accepted) {
  return plain(415, Reason::unsupported_media_type,
               fmt::format("the body of the request was in an unknown format{} - accepted media "
                           "types include: {}",
                           sent.empty() ? std::string() : fmt::format(" ({})", sent),
                           fmt::join(accepted, ", ")));
}

ApiStatus too_many_requests(std::string_view message, int retry_after_seconds) {
  ApiStatus status = plain(429, Reason::too_many_requests, std::string(message));
  status.retry_after_seconds = retry_after_seconds;
  return status;
}

ApiStatus expired(std::string_view message) {
  return plain(410, Reason::expired, std::string(message));
}

ApiStatus too_old_resource_version(std::uint64_t asked, std::uint64_t oldest) {
  return expired(fmt::format("too old resource version: {} ({})", asked, oldest));
}

ApiStatus too_large_resource_version(std::uint64_t asked, std::uint64_t current) {
  ApiStatus status =
      timeout(fmt::format("Too large resource version: {}, current: {}", asked, current), 1);
  status.causes.push_back(
      {.reason = "ResourceVersionTooLarge", .message = "Too large resource version"});
  return status;
}

ApiStatus gone(std::string_view message) { return plain(410, Reason::gone, std::string(message)); }

ApiStatus timeout(std::string_view message, int retry_after_seconds) {
  ApiStatus status = plain(504, Reason::timeout, fmt::format("Timeout: {}", message));
  status.retry_after_seconds = retry_after_seconds;
  return status;
}

ApiStatus server_timeout(const GroupResource& resource, std::string_view verb,
                         int retry_after_seconds) {
  ApiStatus status = about(500, Reason::server_timeout, resource, {},
                           fmt::format("The {} operation against {} could not be completed at "
                                       "this time, please try again.",
                                       verb, to_string(resource)));
  status.retry_after_seconds = retry_after_seconds;
  return status;
}

ApiStatus internal_error(std::string_view why) {
  ApiStatus status =
      plain(500, Reason::internal_error, fmt::format("Internal error occurred: {}", why));
  status.causes.push_back({.message = std::string(why)});
  return status;
}

ApiStatus service_unavailable(std::string_view why) {
  return plain(503, Reason::service_unavailable, std::string(why));
}

ApiStatus request_entity_too_large(std::string_view message) {
  return plain(413, Reason::request_entity_too_large,
               fmt::format("Request entity too large: {}", message));
}

ApiStatus from_error(const Error& error) {
  const auto as = [&](Reason reason) { return plain(row_of(reason).code, reason, error.message); };
  if (error.os_error == ENOSPC || error.os_error == EDQUOT) return as(Reason::insufficient_storage);
  switch (error.code) {
    case Code::invalid_argument:
    case Code::malformed: return as(Reason::bad_request);
    case Code::not_found: return as(Reason::not_found);
    case Code::already_exists: return as(Reason::already_exists);
    case Code::conflict: return as(Reason::conflict);
    case Code::permission_denied: return as(Reason::forbidden);
    case Code::timed_out: return as(Reason::timeout);
    case Code::expired: return as(Reason::expired);
    case Code::unsupported: return as(Reason::method_not_allowed);
    case Code::exhausted: return too_many_requests(error.message, 1);
    case Code::refused:
    case Code::reset:
    case Code::closed:
    case Code::cancelled:
    case Code::unavailable: return as(Reason::service_unavailable);
    case Code::io:
    case Code::internal: break;
  }
  return internal_error(error.message);
}

Error to_error(const ApiStatus& status) {
  return {.code = row_of(status.reason).error, .message = status.message};
}

}  // namespace tulle::kube
