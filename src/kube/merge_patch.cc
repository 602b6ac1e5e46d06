// RFC 7386 (JSON Merge Patch).
#include "kube/patch.h"

#include <boost/json.hpp>

namespace tulle::kube {

namespace json = boost::json;

namespace {

void merge(json::object& target, const json::object& patch) {
  for (const auto& member : patch) {
    if (member.value().is_null()) {
      target.erase(member.key());
      continue;
    }
    const json::object* inner = member.value().if_object();
    json::value& value = target[member.key()];
    if (inner == nullptr) {
      value = member.value();
      continue;
    }
    if (!value.is_object()) value.emplace_object();
    merge(value.get_object(), *inner);
  }
}

}  // namespace

ApiResult<json::object> apply_merge_patch(const json::object& live, const json::value& patch) {
  const json::object* object = patch.if_object();
  if (object == nullptr)
    return bad_request("error decoding patch: a merge patch must be an object");
  json::object result = live;
  merge(result, *object);
  return result;
}

}  // namespace tulle::kube
