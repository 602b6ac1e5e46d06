#include "controllers/namespaces.h"

#include <boost/json.hpp>

namespace tulle::controllers {

namespace {

constexpr std::size_t kConcurrency = 4;
// Pods take time to end; how often a namespace looks whether it is empty.
constexpr Duration kLookAgain = std::chrono::milliseconds(200);

}  // namespace

NamespaceController::NamespaceController(Shared& shared,
                                         std::vector<kubeclient::Resource> resources,
                                         std::string ca_pem)
    : shared_(shared),
      resources_(std::move(resources)),
      ca_pem_(std::move(ca_pem)),
      queue_(shared.loop),
      reconcile_([this](NamespacedName key) { return reconcile(std::move(key)); }) {
  shared_.namespaces.on_change([this](const ObjectPtr&, const ObjectPtr& after) {
    if (after) queue_.add(kube::key_of(*after));
  });
}

rt::Task<void> NamespaceController::run() {
  co_await kubeclient::run_workers(shared_.loop, queue_, "namespace", reconcile_, kConcurrency);
}

rt::Task<ApiResult<Reconciled>> NamespaceController::reconcile(NamespacedName key) {
  const ObjectPtr space = shared_.namespaces.get(key);
  if (!space) co_return Reconciled{};
  if (kube::is_deleting(*space)) co_return co_await empty(space);
  CO_TRY_VOID(co_await furnish(key.name));
  co_return Reconciled{};
}

rt::Task<ApiResult<void>> NamespaceController::furnish(std::string name) {
  json::object account{{"apiVersion", "v1"},
                       {"kind", "ServiceAccount"},
                       {"metadata", {{"name", "default"}, {"namespace", name}}}};
  json::object root_ca{{"apiVersion", "v1"},
                       {"kind", "ConfigMap"},
                       {"metadata", {{"name", "kube-root-ca.crt"}, {"namespace", name}}},
                       {"data", {{"ca.crt", ca_pem_}}}};
  CO_TRY_VOID(co_await create_if_absent(kubeclient::kServiceAccounts, std::move(account)));
  co_return co_await create_if_absent(kubeclient::kConfigMaps, std::move(root_ca));
}

rt::Task<ApiResult<void>> NamespaceController::create_if_absent(kubeclient::Resource resource,
                                                                json::object object) {
  const auto created = co_await shared_.client.create(resource, std::move(object));
  if (!created && !created.error().is(kube::Reason::already_exists)) co_return created.error();
  co_return ApiResult<void>();
}

rt::Task<ApiResult<Reconciled>> NamespaceController::empty(ObjectPtr space) {
  bool left = false;
  // What cannot be removed now must not keep the rest from going, nor be waited for ever longer.
  bool failed = false;
  for (const kubeclient::Resource& resource : resources_) {
    const auto list =
        co_await shared_.client.list(resource, {.namespace_ = std::string(kube::name_of(*space))});
    if (!list) {
      failed = true;
      continue;
    }
    for (const ObjectPtr& object : list->items) {
      left = true;
      if (kube::is_deleting(*object)) continue;
      const auto key = kube::key_of(*object);
      const auto removed = co_await shared_.client.remove(
          resource, {.namespace_ = key.namespace_, .name = key.name},
          {.uid = std::string(kube::uid_of(*object)), .propagation_policy = "Background"});
      if (!removed && !removed.error().is(kube::Reason::not_found)) failed = true;
    }
  }
  if (left || failed) co_return Reconciled{.again_after = kLookAgain};
  json::object finished = *space;
  kube::set_at(finished, "spec.finalizers", json::array());
  const auto written =
      co_await shared_.client.update(kubeclient::kNamespaces, std::move(finished), "finalize");
  if (!written && !written.error().is(kube::Reason::not_found)) co_return written.error();
  co_return Reconciled{};
}

}  // namespace tulle::controllers
