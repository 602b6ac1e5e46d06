#include "apiserver/evict.h"

#include "apiserver/input.h"
#include "apiserver/negotiate.h"
#include "apiserver/remove.h"
#include "base/format.h"
#include "kube/object.h"
#include "kube/pod.h"
#include "kube/selector.h"

#include <boost/json.hpp>

namespace tulle::apiserver {

namespace json = boost::json;

namespace {

// kubectl drain tries again by itself, and says so; told a time, its client waits without a word.
constexpr int retry_after_seconds = 0;
// A budget that somebody else wrote meanwhile is read again so often.
constexpr int attempts_max = 20;

struct Budget {
  store::ItemRef item;
  DocumentRef document;
};

kube::KindRef budget_kind(Context& context) {
  return context.scheme.find_resource("policy", "v1", "poddisruptionbudgets");
}

// The budgets of the pod's namespace that select it. A budget without a selector selects nothing.
std::vector<Budget> budgets_of(Context& context, const json::object& pod) {
  const kube::KindRef kind = budget_kind(context);
  std::vector<Budget> found;
  const auto items = context.store.heads(Objects::bucket(*kind), kube::namespace_of(pod));
  found.reserve(items.size());
  for (const store::ItemRef& item : items) {
    DocumentRef document = context.objects.document(*kind, item);
    const json::object* selector = kube::find_object(*document, "spec.selector");
    if (selector == nullptr) continue;
    const auto parsed = kube::Selector::from_label_selector(*selector);
    if (!parsed || !parsed->matches(kube::labels_of(pod))) continue;
    found.push_back({.item = item, .document = std::move(document)});
  }
  return found;
}

kube::ApiStatus too_early(std::string_view why) {
  kube::ApiStatus status = kube::too_many_requests(
      "Cannot evict pod as it would violate the pod's disruption budget.", retry_after_seconds);
  status.causes.push_back({.reason = "DisruptionBudget", .message = std::string(why), .field = ""});
  return status;
}

// Whether the pod goes without asking its budget: it has ended, is going, or never began.
bool needs_no_budget(const json::object& pod) {
  return kube::has_ended(pod) || kube::is_deleting(pod) ||
         kube::string_at(pod, "status.phase") == "Pending";
}

// Whether a pod that is not ready goes without taking from the budget.
bool unhealthy_may_go(const json::object& budget, const json::object& pod) {
  if (kube::is_condition_true(pod, "Ready")) return false;
  if (kube::string_at(budget, "spec.unhealthyPodEvictionPolicy") == "AlwaysAllow") return true;
  const std::int64_t desired = kube::integer_at(budget, "status.desiredHealthy");
  return desired > 0 && kube::integer_at(budget, "status.currentHealthy") >= desired;
}

// The budget with this disruption taken from it, or why there is none to take.
kube::ApiResult<json::object> spend(const json::object& budget, std::string_view pod,
                                    kube::Time now) {
  const std::string_view name = kube::name_of(budget);
  if (kube::integer_at(budget, "status.observedGeneration") < kube::generation_of(budget)) {
    return too_early(
        fmt::format("The disruption budget {} is still being processed by the server.", name));
  }
  if (kube::object_at(budget, "status.disruptedPods").size() > disrupted_pods_max) {
    return kube::forbidden({"policy", "poddisruptionbudgets"}, name,
                           "DisruptedPods map too big - too many evictions not confirmed by PDB "
                           "controller");
  }
  const std::int64_t allowed = kube::integer_at(budget, "status.disruptionsAllowed");
  if (allowed <= 0) {
    return too_early(
        fmt::format("The disruption budget {} needs {} healthy pods and has {} "
                    "currently",
                    name, kube::integer_at(budget, "status.desiredHealthy"),
                    kube::integer_at(budget, "status.currentHealthy")));
  }
  json::object spent = budget;
  kube::set_at(spent, "status.disruptionsAllowed", allowed - 1);
  kube::ensure_object(spent, "status.disruptedPods")[pod] = kube::format_time(now);
  if (allowed == 1) {
    kube::set_condition(spent,
                        {.type = "DisruptionAllowed",
                         .status = "False",
                         .reason = "InsufficientPods",
                         .message = ""},
                        now);
  }
  return spent;
}

// Takes the disruption of `pod` from its budget, if it has one and needs it.
rt::Task<kube::ApiResult<void>> ask_budget(Context& context, DocumentRef pod, bool dry_run) {
  for (int attempt = 1;; ++attempt) {
    const auto budgets = budgets_of(context, *pod);
    if (budgets.empty()) co_return kube::ApiResult<void>();
    if (budgets.size() > 1) {
      co_return kube::internal_error(
          "This pod has more than one PodDisruptionBudget, which the eviction subresource does "
          "not support.");
    }
    const Budget& budget = budgets.front();
    if (unhealthy_may_go(*budget.document, *pod)) co_return kube::ApiResult<void>();
    CO_TRY(json::object spent, spend(*budget.document, kube::name_of(*pod), context.now()));
    if (dry_run) co_return kube::ApiResult<void>();
    auto written =
        co_await context.objects.put(*budget_kind(context), budget.item->key,
                                     store::Expected::at(budget.item->revision), std::move(spent));
    if (written) co_return kube::ApiResult<void>();
    if (written.error().code != Code::conflict || attempt == attempts_max) {
      co_return written.error();
    }
  }
}

}  // namespace

rt::Task<kube::ApiResult<ApiResponse>> evict_pod(Context& context, const Call& call) {
  std::vector<std::string> duplicates;
  DeleteOptions options;
  CO_TRY(options.dry_run, parse_dry_run(call.request.query.get_all("dryRun")));
  CO_TRY(json::value document,
         decode_body(context.scheme, call.request.content_type, call.request.body, duplicates));
  if (const json::object* eviction = document.if_object()) {
    CO_TRY_VOID(read_delete_options(kube::object_at(*eviction, "deleteOptions"), options));
  }
  CO_TRY(Live pod, live_object(context, call));
  CO_TRY_VOID(check_preconditions(call, options, *pod.document));
  if (!needs_no_budget(*pod.document)) {
    CO_TRY_VOID(co_await ask_budget(context, pod.document, options.dry_run));
    // What was asked for is this pod, not another of its name.
    if (options.uid.empty()) options.uid = kube::uid_of(*pod.document);
  }
  CO_TRY_VOID(co_await remove_object(context, call, std::move(options)));
  co_return json_response(201, kube::success_status({}));
}

}  // namespace tulle::apiserver
