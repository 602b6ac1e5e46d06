#include "kube/status.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tulle::kube {
namespace {

const GroupResource deployments{.group = "apps", .resource = "deployments"};
const GroupResource pods{.resource = "pods"};

TEST(Status, failures_have_upstreams_code_reason_and_message) {
  struct Row {
    ApiStatus status;
    int code;
    std::string_view reason;
    std::string_view message;
  };
  const Row rows[] = {
      {not_found(pods, "x"), 404, "NotFound", "pods \"x\" not found"},
      {already_exists(deployments, "x"), 409, "AlreadyExists",
       "deployments.apps \"x\" already exists"},
      {modified_conflict(deployments, "x"), 409, "Conflict",
       "Operation cannot be fulfilled on deployments.apps \"x\": the object has been modified; "
       "please apply your changes to the latest version and try again"},
      {precondition_conflict(pods, "x", "UID", "1", "2"), 409, "Conflict",
       "Operation cannot be fulfilled on pods \"x\": Precondition failed: UID in precondition: 1, "
       "UID in object meta: 2"},
      {invalid("apps", "Deployment", "x",
               {{.reason = "FieldValueInvalid",
                 .message = "Invalid value: -1: must be greater than or equal to 0",
                 .field = "spec.replicas"}}),
       422, "Invalid",
       "Deployment.apps \"x\" is invalid: spec.replicas: Invalid value: -1: must be greater than "
       "or equal to 0"},
      {invalid("", "Pod", "x",
               {{.message = "Required value", .field = "a"},
                {.message = "Required value", .field = "b"}}),
       422, "Invalid", "Pod \"x\" is invalid: [a: Required value, b: Required value]"},
      {strict_decoding_error("v1", "Deployment", {"unknown field \"spec.x\""}), 400, "BadRequest",
       "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: "
       "unknown field \"spec.x\""},
      {forbidden(pods, "x", "no"), 403, "Forbidden", "pods \"x\" is forbidden: no"},
      {unauthorized(), 401, "Unauthorized", "Unauthorized"},
      {method_not_allowed(pods, "patch"), 405, "MethodNotAllowed",
       "patch is not supported on resources of kind \"pods\""},
      {not_acceptable({"application/json"}), 406, "NotAcceptable",
       "only the following media types are accepted: application/json"},
      {unsupported_media_type("", {"application/json", "application/yaml"}), 415,
       "UnsupportedMediaType",
       "the body of the request was in an unknown format - accepted media types include: "
       "application/json, application/yaml"},
      {too_many_requests("slow down", 3), 429, "TooManyRequests", "slow down"},
      {too_old_resource_version(3, 10), 410, "Expired", "too old resource version: 3 (10)"},
      {too_large_resource_version(30, 10), 504, "Timeout",
       "Timeout: Too large resource version: 30, current: 10"},
      {gone("gone"), 410, "Gone", "gone"},
      {server_timeout(pods, "list"), 500, "ServerTimeout",
       "The list operation against pods could not be completed at this time, please try again."},
      {internal_error("disk"), 500, "InternalError", "Internal error occurred: disk"},
      {service_unavailable("starting"), 503, "ServiceUnavailable", "starting"},
      {request_entity_too_large("limit is 1"), 413, "RequestEntityTooLarge",
       "Request entity too large: limit is 1"},
      {from_error({.code = Code::malformed, .message = "line 1"}), 400, "BadRequest", "line 1"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(row.status.code, row.code);
    EXPECT_EQ(name(row.status.reason), row.reason);
    EXPECT_EQ(row.status.message, row.message);
    const ApiStatus back = parse_status(to_json(row.status), row.code);
    EXPECT_EQ(back.reason, row.status.reason);
    EXPECT_EQ(to_json(back), to_json(row.status));
  }
}

TEST(Status, the_document_has_upstreams_shape) {
  EXPECT_EQ(to_text(not_found(deployments, "x")),
            R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",)"
            R"("message":"deployments.apps \"x\" not found","reason":"NotFound",)"
            R"("details":{"name":"x","group":"apps","kind":"deployments"},"code":404})"
            "\n");
  EXPECT_EQ(boost::json::serialize(to_json(too_large_resource_version(2, 1)).at("details")),
            R"({"causes":[{"reason":"ResourceVersionTooLarge",)"
            R"("message":"Too large resource version"}],"retryAfterSeconds":1})");
  EXPECT_EQ(boost::json::serialize(
                success_status({.name = "x", .group = "apps", .resource = "deployments"})),
            R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success",)"
            R"("details":{"name":"x","group":"apps","kind":"deployments"}})");
}

TEST(Status, a_reason_that_a_server_left_out_comes_from_its_http_code) {
  EXPECT_EQ(parse_status({}, 404).reason, Reason::not_found);
  EXPECT_EQ(parse_status({}, 409).reason, Reason::conflict);
  EXPECT_EQ(parse_status({}, 418).reason, Reason::unknown);
  EXPECT_EQ(to_error(parse_status({}, 410)).code, Code::expired);
}

ApiResult<int> half(int number) {
  if (number % 2 != 0) return bad_request("odd");
  return number / 2;
}

Result<int> positive(int number) {
  if (number < 0) return fail(Code::not_found, "negative");
  return number;
}

ApiResult<int> half_of_positive(int number) {
  TRY(const int checked, positive(number));
  TRY(const int result, half(checked));
  return result;
}

TEST(Status, try_hands_on_a_status_and_turns_an_error_into_one) {
  EXPECT_EQ(half_of_positive(4).value(), 2);
  EXPECT_EQ(half_of_positive(3).error().message, "odd");
  EXPECT_EQ(half_of_positive(-2).error().reason, Reason::not_found);
}

}  // namespace
}  // namespace tulle::kube
