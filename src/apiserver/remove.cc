#include "apiserver/remove.h"

#include "apiserver/admission.h"
#include "apiserver/input.h"
#include "apiserver/list_query.h"
#include "apiserver/negotiate.h"
#include "apiserver/read.h"
#include "apiserver/strategy.h"
#include "apiserver/write.h"
#include "base/format.h"
#include "codec/json.h"
#include "kube/object.h"
#include "kube/pod.h"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

namespace tulle::apiserver {

namespace json = boost::json;

namespace {

constexpr std::string_view foreground_finalizer = "foregroundDeletion";
constexpr std::string_view orphan_finalizer = "orphan";
constexpr std::int64_t pod_grace_default_seconds = 30;
constexpr std::int64_t grace_seconds_max = std::numeric_limits<std::int32_t>::max();

kube::ApiResult<DeleteOptions> parse_delete_options(Context& context, const ApiRequest& request) {
  DeleteOptions options;
  TRY(options.dry_run, parse_dry_run(request.query.get_all("dryRun")));
  options.propagation_policy = request.query.get_or("propagationPolicy", "");
  if (auto text = request.query.get("gracePeriodSeconds"); text && !text->empty()) {
    std::int64_t seconds = 0;
    auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), seconds);
    if (error != std::errc() || end != text->data() + text->size()) {
      return kube::bad_request("gracePeriodSeconds is not a number");
    }
    options.grace_seconds = seconds;
  }
  if (request.body.empty()) return options;
  std::vector<std::string> duplicates;
  TRY(json::value document,
      decode_body(context.scheme, request.content_type, request.body, duplicates));
  if (const json::object* body = document.if_object())
    TRY_VOID(read_delete_options(*body, options));
  std::string_view policy = options.propagation_policy;
  if (!policy.empty() && policy != "Foreground" && policy != "Background" && policy != "Orphan") {
    return kube::invalid("meta.k8s.io", "DeleteOptions", "",
                         {{.reason = "FieldValueNotSupported",
                           .message = fmt::format("Unsupported value: \"{}\": supported values: "
                                                  "\"Foreground\", \"Background\", \"Orphan\"",
                                                  policy),
                           .field = "propagationPolicy"}});
  }
  return options;
}

void apply_propagation_policy(std::string_view policy, json::object& object) {
  if (policy.empty()) return;
  kube::remove_finalizer(object, foreground_finalizer);
  kube::remove_finalizer(object, orphan_finalizer);
  if (policy == "Foreground") kube::add_finalizer(object, foreground_finalizer);
  if (policy == "Orphan") kube::add_finalizer(object, orphan_finalizer);
  json::object& metadata = kube::ensure_object(object, "metadata");
  if (kube::array_at(object, "metadata.finalizers").empty()) metadata.erase("finalizers");
}

// How long the object may take to go. Only pods take any: those that a node runs.
std::int64_t grace_of(const kube::KindDefinition& kind, const DeleteOptions& options,
                      const json::object& object) {
  if (!is_pod(kind) || kube::has_ended(object)) return 0;
  if (kube::string_at(object, "spec.nodeName").empty()) return 0;
  std::int64_t usual =
      kube::integer_at(object, "spec.terminationGracePeriodSeconds", pod_grace_default_seconds);
  return std::clamp<std::int64_t>(options.grace_seconds.value_or(usual), 0, grace_seconds_max);
}

// The object as it is once its deletion has begun.
json::object begin_deletion(Context& context, const Call& call, const DeleteOptions& options,
                            const json::object& live) {
  json::object object = live;
  apply_propagation_policy(options.propagation_policy, object);
  std::int64_t grace = grace_of(*call.kind, options, object);
  json::object& metadata = kube::ensure_object(object, "metadata");
  if (kube::is_deleting(object)) {
    // The time left may only become shorter.
    std::int64_t before = kube::integer_at(object, "metadata.deletionGracePeriodSeconds");
    if (!options.grace_seconds || grace >= before) return object;
  } else if (call.kind->generation == kube::Generation::spec) {
    metadata["generation"] = kube::generation_of(object) + 1;
  }
  metadata["deletionTimestamp"] = kube::format_time(context.now() + std::chrono::seconds(grace));
  metadata["deletionGracePeriodSeconds"] = grace;
  if (is_namespace(*call.kind)) kube::set_at(object, "status.phase", "Terminating");
  return object;
}

}  // namespace

kube::ApiResult<void> read_delete_options(const json::object& body, DeleteOptions& options) {
  if (const json::value* grace = body.if_contains("gracePeriodSeconds")) {
    if (!grace->is_null()) options.grace_seconds = kube::integer_at(body, "gracePeriodSeconds");
  }
  if (body.contains("propagationPolicy")) {
    options.propagation_policy = kube::string_at(body, "propagationPolicy");
  }
  if (const json::value* orphan = body.if_contains("orphanDependents");
      orphan && orphan->is_bool()) {
    options.propagation_policy = orphan->get_bool() ? "Orphan" : "Background";
  }
  options.uid = kube::string_at(body, "preconditions.uid");
  options.resource_version = kube::string_at(body, "preconditions.resourceVersion");
  std::vector<std::string_view> dry_run;
  for (const json::value& value : kube::array_at(body, "dryRun")) {
    dry_run.push_back(kube::string_or(value));
  }
  TRY(bool dry, parse_dry_run(dry_run));
  options.dry_run = options.dry_run || dry;
  return {};
}

kube::ApiResult<void> check_preconditions(const Call& call, const DeleteOptions& options,
                                          const json::object& object) {
  if (!options.uid.empty() && options.uid != kube::uid_of(object)) {
    return kube::precondition_conflict(call.resource(), call.name, "UID", options.uid,
                                       kube::uid_of(object));
  }
  if (!options.resource_version.empty() &&
      options.resource_version != kube::resource_version_of(object)) {
    return kube::precondition_conflict(call.resource(), call.name, "ResourceVersion",
                                       options.resource_version, kube::resource_version_of(object));
  }
  return {};
}

rt::Task<kube::ApiResult<Outcome>> remove_object(Context& context, const Call& call,
                                                 DeleteOptions options) {
  CO_TRY_VOID(admit_deletion(call));
  CO_TRY(Live live, live_object(context, call));
  CO_TRY_VOID(check_preconditions(call, options, *live.document));
  json::object object = begin_deletion(context, call, options, *live.document);
  bool removed = may_be_removed(*call.kind, object);
  if (options.dry_run) {
    co_return Outcome{.document = live.document, .item = nullptr, .removed = removed};
  }
  if (!removed && object == *live.document) {
    CO_TRY_VOID(co_await context.store.flush());
    co_return Outcome{.document = live.document, .item = live.item};
  }
  auto expected = store::Expected::at(live.item->revision);
  if (removed) {
    CO_TRY(auto erased,
           co_await context.objects.erase(*call.kind, call.key(), expected, std::move(object)));
    co_return Outcome{.document = std::move(erased.document), .item = nullptr, .removed = true};
  }
  CO_TRY(auto put,
         co_await context.objects.put(*call.kind, call.key(), expected, std::move(object)));
  co_return Outcome{.document = std::move(put.document), .item = std::move(put.item)};
}

rt::Task<kube::ApiResult<ApiResponse>> delete_object(Context& context, const Call& call) {
  CO_TRY(DeleteOptions options, parse_delete_options(context, call.request));
  CO_TRY(Outcome outcome, co_await remove_object(context, call, options));
  // Upstream shows a pod even when it is gone.
  if (!outcome.removed || is_pod(*call.kind)) {
    co_return show_outcome(context, call, 200, outcome, {});
  }
  co_return json_response(200, kube::success_status({
                                   .name = call.name,
                                   .group = call.kind->group,
                                   .resource = call.kind->plural,
                                   .uid = std::string(kube::uid_of(*outcome.document)),
                               }));
}

rt::Task<kube::ApiResult<ApiResponse>> delete_collection(Context& context, const Call& call) {
  CO_TRY(DeleteOptions options, parse_delete_options(context, call.request));
  CO_TRY(ListQuery query, parse_list_query(call.request.query, *call.kind));
  std::string bucket = Objects::bucket(*call.kind);
  store::ListOptions within{.bucket = bucket};
  if (!call.namespace_.empty()) within.namespace_ = call.namespace_;
  CO_TRY(store::Listing listing, context.store.list(within));
  json::array removed;
  for (const store::ItemRef& item : select_items(context, call, query, std::move(listing.items))) {
    Call one = call;
    one.namespace_ = item->key.namespace_;
    one.name = item->key.name;
    auto outcome = co_await remove_object(context, one, options);
    if (outcome) removed.push_back(*outcome->document);
    if (!outcome && !outcome.error().is(kube::Reason::not_found)) co_return outcome.error();
  }
  json::object list{{"kind", call.kind->list_kind},
                    {"apiVersion", call.kind->api_version()},
                    {"metadata", {{"resourceVersion", std::to_string(context.store.revision())}}},
                    {"items", std::move(removed)}};
  co_return json_response(200, list);
}

}  // namespace tulle::apiserver
