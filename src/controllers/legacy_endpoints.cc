#include "controllers/legacy_endpoints.h"

#include <utility>

namespace tulle::controllers {

namespace {

constexpr std::size_t kConcurrency = 2;

}  // namespace

LegacyEndpoints::LegacyEndpoints(Shared& shared)
    : shared_(shared),
      queue_(shared.loop),
      reconcile_([this](NamespacedName key) { return reconcile(std::move(key)); }),
      scope_(shared.loop) {}

void LegacyEndpoints::start() {
  scope_.spawn(
      kubeclient::run_workers(shared_.loop, queue_, "legacy endpoints", reconcile_, kConcurrency));
}

void LegacyEndpoints::follow(const ObjectPtr& service, std::vector<MemberPtr> members) {
  const NamespacedName key = kube::key_of(*service);
  queue_.add_after(key, pause_min + pause_per_address * members.size());
  wanted_.insert_or_assign(key, Wanted{.service = service, .members = std::move(members)});
}

rt::Task<ApiResult<Reconciled>> LegacyEndpoints::reconcile(NamespacedName key) {
  auto found = wanted_.extract(key);
  if (found.empty()) co_return Reconciled{};
  const Wanted wanted = std::move(found.mapped());
  // Endpoints of a service that is gone went with it, as its dependants.
  const ObjectPtr service = shared_.services.get(key);
  if (!service || kube::uid_of(*service) != kube::uid_of(*wanted.service)) co_return Reconciled{};
  auto written = co_await write(wanted.service, render_endpoints(wanted.members));
  if (written) co_return Reconciled{};
  wanted_.try_emplace(key, wanted);  // unless there is something newer already
  co_return std::move(written).error();
}

rt::Task<ApiResult<void>> LegacyEndpoints::write(ObjectPtr service, json::object wanted) {
  const ObjectPtr existing = shared_.endpoints.get(kube::key_of(*service));
  if (existing && kube::array_at(*existing, "subsets") == kube::array_at(wanted, "subsets")) {
    co_return ApiResult<void>();
  }
  json::object endpoints{
      {"apiVersion", "v1"},
      {"kind", "Endpoints"},
      {"metadata",
       {{"name", kube::name_of(*service)},
        {"namespace", kube::namespace_of(*service)},
        {"labels", kube::labels_of(*service)},
        {"ownerReferences", json::array{kube::controller_reference_to(*service)}}}}};
  if (existing) endpoints = *existing;
  endpoints.erase("subsets");
  for (auto& [field, value] : wanted) endpoints[field] = value;
  auto written =
      existing ? co_await shared_.client.update(kubeclient::kEndpoints, std::move(endpoints), {})
               : co_await shared_.client.create(kubeclient::kEndpoints, std::move(endpoints));
  if (!written) co_return written.error();
  shared_.endpoints.observe(*written);
  co_return ApiResult<void>();
}

json::object render_endpoints(const std::vector<MemberPtr>& members) {
  json::array subsets;
  for (const auto group : groups_of(members)) {
    json::array ready;
    json::array not_ready;
    for (const MemberPtr& member : group) {
      const json::object& endpoint = member->endpoint;
      if (kube::bool_at(endpoint, "conditions.terminating")) continue;
      json::object address{{"ip", member->address.to_string()},
                           {"targetRef", endpoint.at("targetRef")}};
      for (const std::string_view field : {"nodeName", "hostname"}) {
        if (const auto* value = endpoint.if_contains(field)) address[field] = *value;
      }
      const bool in = kube::bool_at(endpoint, "conditions.ready");
      json::array& list = in ? ready : not_ready;
      if (list.size() < LegacyEndpoints::addresses_max) list.push_back(std::move(address));
    }
    if (ready.empty() && not_ready.empty()) continue;
    json::object subset;
    if (!ready.empty()) subset["addresses"] = std::move(ready);
    if (!not_ready.empty()) subset["notReadyAddresses"] = std::move(not_ready);
    json::array ports = group.front()->ports;
    for (auto& port : ports) {
      json::object* object = port.if_object();
      if (object != nullptr && kube::string_at(*object, "name").empty()) object->erase("name");
    }
    subset["ports"] = std::move(ports);
    subsets.push_back(std::move(subset));
  }
  json::object endpoints;
  if (!subsets.empty()) endpoints["subsets"] = std::move(subsets);
  return endpoints;
}

}  // namespace tulle::controllers
