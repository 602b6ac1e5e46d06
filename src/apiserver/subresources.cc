#include "apiserver/subresources.h"

#include "apiserver/input.h"
#include "apiserver/negotiate.h"
#include "apiserver/write.h"
#include "base/format.h"
#include "codec/json.h"
#include "kube/object.h"
#include "kube/patch.h"
#include "kube/selector.h"

#include <boost/json.hpp>

namespace tulle::apiserver {

namespace json = boost::json;

namespace {

// ".spec.replicas" as a path of kube/object.h.
std::string_view plain(std::string_view path) {
  if (path.starts_with('.')) path.remove_prefix(1);
  return path;
}

std::string selector_text(const kube::ScalePaths& paths, const json::object& object) {
  const json::value* selector = kube::find(object, plain(paths.selector));
  if (selector == nullptr) return "";
  if (!selector->is_object()) return std::string(kube::string_or(*selector));
  auto parsed = kube::Selector::from_label_selector(selector->get_object());
  return parsed ? parsed->to_string() : "";
}

json::object scale_of(const kube::ScalePaths& paths, const json::object& object) {
  json::object metadata;
  for (const char* field : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}) {
    const json::value* value = kube::find_object(object, "metadata")->if_contains(field);
    if (value != nullptr) metadata[field] = *value;
  }
  json::object status{{"replicas", kube::integer_at(object, plain(paths.status_replicas))}};
  if (std::string selector = selector_text(paths, object); !selector.empty()) {
    status["selector"] = selector;
  }
  return {{"kind", "Scale"},
          {"apiVersion", "autoscaling/v1"},
          {"metadata", std::move(metadata)},
          {"spec", {{"replicas", kube::integer_at(object, plain(paths.spec_replicas))}}},
          {"status", std::move(status)}};
}

// The Scale that the client wants.
kube::ApiResult<json::object> wanted_scale(Context& context, const Call& call,
                                           const json::object& current) {
  const ApiRequest& request = call.request;
  std::vector<std::string> duplicates;
  TRY(json::value body,
      decode_body(context.scheme, request.content_type, request.body, duplicates));
  if (request.method == "PATCH") {
    TRY(PatchType type, patch_type(request.content_type));
    if (type == PatchType::json) return kube::apply_json_patch(current, body);
    // A Scale has no lists: a strategic patch is a merge patch.
    if (type != PatchType::apply) return kube::apply_merge_patch(current, body);
    return kube::unsupported_media_type(
        request.content_type, {"application/json-patch+json", "application/merge-patch+json"});
  }
  if (!body.is_object()) return kube::bad_request("the body is not a Scale");
  return std::move(body.get_object());
}

kube::ApiResult<void> check_scale(const Call& call, const json::object& current,
                                  const json::object& wanted) {
  std::string_view version = kube::resource_version_of(wanted);
  if (!version.empty() && version != kube::resource_version_of(current)) {
    return kube::modified_conflict(call.resource(), call.name);
  }
  const json::value* replicas = kube::find(wanted, "spec.replicas");
  if (replicas != nullptr && !replicas->is_int64()) {
    return kube::bad_request("spec.replicas is not an integer");
  }
  std::int64_t number = kube::integer_at(wanted, "spec.replicas");
  if (number >= 0 && number <= INT32_MAX) return {};
  return kube::invalid("autoscaling", "Scale", call.name,
                       {{.reason = "FieldValueInvalid",
                         .message = fmt::format("Invalid value: {}: must be greater than or equal "
                                                "to 0",
                                                number),
                         .field = "spec.replicas"}});
}

}  // namespace

rt::Task<kube::ApiResult<ApiResponse>> serve_scale(Context& context, const Call& call) {
  const kube::ScalePaths& paths = *call.kind->scale;
  CO_TRY(Live live, live_object(context, call));
  json::object current = scale_of(paths, *live.document);
  if (call.request.method == "GET") {
    CO_TRY_VOID(co_await context.store.flush());
    co_return json_response(200, current);
  }
  CO_TRY(WriteQuery query, parse_write_query(call.request.query));
  CO_TRY(json::object wanted, wanted_scale(context, call, current));
  CO_TRY_VOID(check_scale(call, current, wanted));
  json::object object = *live.document;
  kube::set_at(object, plain(paths.spec_replicas), kube::integer_at(wanted, "spec.replicas"));
  CO_TRY(Outcome outcome, co_await apply_update(context, call, std::move(live), std::move(object),
                                                {.subresource = "", .dry_run = query.dry_run}));
  co_return json_response(200, scale_of(paths, *outcome.document));
}

rt::Task<kube::ApiResult<ApiResponse>> bind_pod(Context& context, const Call& call) {
  std::vector<std::string> duplicates;
  CO_TRY(json::value body,
         decode_body(context.scheme, call.request.content_type, call.request.body, duplicates));
  std::string node(kube::string_at(kube::object_or_empty(body), "target.name"));
  if (node.empty()) co_return kube::bad_request("a Binding needs target.name");
  CO_TRY(Live live, live_object(context, call));
  std::string_view before = kube::string_at(*live.document, "spec.nodeName");
  if (!before.empty()) {
    co_return kube::conflict(
        call.resource(), call.name,
        fmt::format("pod {} is already assigned to node \"{}\"", call.name, before));
  }
  json::object object = *live.document;
  kube::set_at(object, "spec.nodeName", json::value(node));
  kube::set_condition(object,
                      {.type = "PodScheduled", .status = "True", .reason = "", .message = ""},
                      context.now());
  auto written = co_await context.objects.put(
      *call.kind, call.key(), store::Expected::at(live.item->revision), std::move(object));
  if (!written) co_return written.error();
  co_return json_response(201, kube::success_status({}));
}

}  // namespace tulle::apiserver
