#include "controllers/traffic_policy.h"

#include "compile/facts.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>

namespace tulle::controllers {

namespace {

kube::Condition refused(std::string reason, std::string message) {
  return {.type = "Accepted",
          .status = "False",
          .reason = std::move(reason),
          .message = std::move(message)};
}

// The policy that holds for `service` in place of this one; empty: none.
std::string older_policy(const json::object& policy, const std::vector<ObjectPtr>& policies,
                         const mesh::ObjectName& service, const kube::KindDefinition& kind) {
  const mesh::ObjectName own = compile::object_name(policy);
  const std::string_view created = kube::string_at(policy, "metadata.creationTimestamp");
  for (const ObjectPtr& other : policies) {
    const mesh::ObjectName name = compile::object_name(*other);
    if (name == own) continue;
    compile::Problems problems;
    const compile::PolicyFacts facts = compile::read_policy(*other, kind, problems);
    const bool same_target = std::ranges::find(facts.services, service) != facts.services.end();
    if (same_target && compile::holds_before(facts.created, name, created, own)) return name.name;
  }
  return {};
}

}  // namespace

kube::Condition accepted_condition(const json::object& policy,
                                   const std::vector<ObjectPtr>& policies,
                                   const std::function<bool(std::string_view)>& has_service,
                                   const kube::KindDefinition& kind) {
  compile::Problems problems;
  const compile::PolicyFacts facts = compile::read_policy(policy, kind, problems);
  if (!problems.empty()) {
    return refused("Invalid", fmt::format("{}", fmt::join(problems, "; ")));
  }
  for (const mesh::ObjectName& service : facts.services) {
    if (!has_service(service.name)) {
      return refused("TargetNotFound",
                     fmt::format("there is no Service {} in this namespace", service.name));
    }
    const std::string older = older_policy(policy, policies, service, kind);
    if (!older.empty()) {
      return refused("Conflicted", fmt::format("TrafficPolicy {} is older and holds for Service {}",
                                               older, service.name));
    }
  }
  return {.type = "Accepted",
          .status = "True",
          .reason = "Accepted",
          .message = "in force for all of its targets"};
}

TrafficPolicyController::TrafficPolicyController(Shared& shared)
    : shared_(shared),
      queue_(shared.loop),
      reconcile_([this](NamespacedName key) { return reconcile(std::move(key)); }) {
  shared_.traffic_policies.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    const bool same = before && after &&
                      kube::object_at(*before, "spec") == kube::object_at(*after, "spec") &&
                      kube::object_at(*before, "status") == kube::object_at(*after, "status");
    if (!same) look_again(kube::namespace_of(after ? *after : *before));
  });
  shared_.services.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    if (!before || !after) look_again(kube::namespace_of(after ? *after : *before));
  });
}

void TrafficPolicyController::look_again(std::string_view namespace_) {
  for (const ObjectPtr& policy : in_namespace(shared_.traffic_policies, namespace_)) {
    queue_.add(kube::key_of(*policy));
  }
}

rt::Task<void> TrafficPolicyController::run() {
  rt::Scope workers(shared_.loop);
  workers.spawn(kubeclient::run_workers(shared_.loop, queue_, "traffic-policy", reconcile_, 1));
  co_await workers.idle();
}

rt::Task<ApiResult<Reconciled>> TrafficPolicyController::reconcile(NamespacedName key) {
  const ObjectPtr policy = shared_.traffic_policies.get(key);
  if (!policy || kube::is_deleting(*policy)) co_return Reconciled{};
  const auto has_service = [this, &key](std::string_view name) {
    return shared_.services.get({.namespace_ = key.namespace_, .name = std::string(name)}) !=
           nullptr;
  };
  if (!kind_) kind_ = compile::policy_kind();
  json::object changed = *policy;
  kube::set_condition(
      changed,
      accepted_condition(*policy, in_namespace(shared_.traffic_policies, key.namespace_),
                         has_service, *kind_),
      api_now(shared_.loop));
  kube::set_at(changed, "status.observedGeneration",
               kube::integer_at(*policy, "metadata.generation"));
  CO_TRY_VOID(co_await write_status(shared_, shared_.traffic_policies, policy, std::move(changed)));
  co_return Reconciled{};
}

}  // namespace tulle::controllers
