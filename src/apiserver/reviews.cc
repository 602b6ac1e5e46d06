#include "apiserver/reviews.h"

#include "apiserver/input.h"
#include "kube/object.h"

#include <boost/json.hpp>

namespace tulle::apiserver {

namespace json = boost::json;

namespace {

json::array texts(const std::vector<std::string>& values) {
  json::array array;
  for (const std::string& value : values) array.emplace_back(value);
  return array;
}

json::object rules() {
  json::object resources{{"verbs", {"*"}}, {"apiGroups", {"*"}}, {"resources", {"*"}}};
  json::object paths{{"verbs", {"*"}}, {"nonResourceURLs", {"*"}}};
  return {{"resourceRules", json::array{std::move(resources)}},
          {"nonResourceRules", json::array{std::move(paths)}},
          {"incomplete", false}};
}

}  // namespace

kube::ApiResult<ApiResponse> answer_review(Context& context, const Call& call) {
  TRY(WriteQuery query, parse_write_query(call.request.query));
  TRY(Input input,
      read_input(context, call.request, expected_kind(*call.kind), query.field_validation));
  const std::string& kind = call.kind->kind;
  const User& user = call.request.user;
  json::object& review = input.object;
  if (kind == "SelfSubjectReview") {
    json::object info{{"username", user.name}, {"groups", texts(user.groups)}};
    if (!user.uid.empty()) info["uid"] = user.uid;
    review["status"] = {{"userInfo", std::move(info)}};
  } else if (kind == "SelfSubjectRulesReview") {
    review["status"] = rules();
  } else if (kind.ends_with("AccessReview")) {
    review["status"] = {{"allowed", true}};
  } else {
    return kube::method_not_allowed(call.resource(), "create");
  }
  return json_response(201, review);
}

}  // namespace tulle::apiserver
