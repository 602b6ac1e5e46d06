#include "controllers/front_door.h"

#include "base/log.h"
#include "rt/combine.h"

#include <boost/json.hpp>

#include <algorithm>
#include <set>

namespace tulle::controllers {

namespace {

constexpr std::string_view kClass = "tulle";
constexpr std::string_view kClassAnnotation = "kubernetes.io/ingress.class";
constexpr std::string_view kDefaultClass = "ingressclass.kubernetes.io/is-default-class";

std::string_view first_address(const json::object& service) {
  const auto& ingress = kube::array_at(service, "status.loadBalancer.ingress");
  if (ingress.empty()) return {};
  return kube::string_at(kube::object_or_empty(ingress.front()), "ip");
}

bool is_load_balancer(const json::object& service) {
  return kube::string_at(service, "spec.type") == "LoadBalancer";
}

}  // namespace

FrontDoorController::FrontDoorController(Shared& shared, const Options& options)
    : shared_(shared),
      options_(options),
      services_(shared.loop),
      ingresses_(shared.loop),
      reconcile_service_([this](NamespacedName key) { return reconcile_service(std::move(key)); }),
      reconcile_ingress_([this](NamespacedName key) { return reconcile_ingress(std::move(key)); }) {
  shared_.services.on_change([this](const ObjectPtr&, const ObjectPtr& after) {
    if (after) services_.add(kube::key_of(*after));
  });
  shared_.ingresses.on_change([this](const ObjectPtr&, const ObjectPtr& after) {
    if (after) ingresses_.add(kube::key_of(*after));
  });
  shared_.ingress_classes.on_change([this](const ObjectPtr&, const ObjectPtr&) {
    for (const auto& [key, ingress] : shared_.ingresses.objects()) ingresses_.add(key);
  });
}

rt::Task<void> FrontDoorController::run() {
  if (const auto made = co_await ensure_class(); !made) {
    log::warn("the IngressClass tulle could not be made", {{"why", made.error().message}});
  }
  rt::Scope workers(shared_.loop);
  workers.spawn(
      kubeclient::run_workers(shared_.loop, services_, "load-balancer", reconcile_service_, 1));
  workers.spawn(
      kubeclient::run_workers(shared_.loop, ingresses_, "ingress", reconcile_ingress_, 4));
  co_await workers.idle();
}

rt::Task<ApiResult<void>> FrontDoorController::ensure_class() {
  json::object ingress_class{
      {"apiVersion", "networking.k8s.io/v1"},
      {"kind", "IngressClass"},
      {"metadata", {{"name", kClass}, {"annotations", {{kDefaultClass, "true"}}}}},
      {"spec", {{"controller", "tulle.dev/ingress-controller"}}}};
  const auto made =
      co_await shared_.client.create(kubeclient::kIngressClasses, std::move(ingress_class));
  if (!made && !made.error().is(kube::Reason::already_exists)) co_return made.error();
  co_return ApiResult<void>();
}

rt::Task<ApiResult<Reconciled>> FrontDoorController::reconcile_service(NamespacedName key) {
  const ObjectPtr service = shared_.services.get(key);
  if (!service || kube::is_deleting(*service)) co_return Reconciled{};
  json::object changed = *service;
  if (!is_load_balancer(*service)) {
    if (kube::array_at(*service, "status.loadBalancer.ingress").empty()) co_return Reconciled{};
    kube::set_at(changed, "status.loadBalancer", json::object());
  } else if (first_address(*service).empty()) {
    CO_TRY(const IpAddress address, free_address(key));
    kube::set_at(changed, "status.loadBalancer.ingress",
                 json::array{json::object{{"ip", address.to_string()}}});
  }
  CO_TRY_VOID(co_await write_status(shared_, shared_.services, service, std::move(changed)));
  co_return Reconciled{};
}

// The first address that no other service has, counted from one that its name gives: so that a
// service that is made again gets the one it had.
ApiResult<IpAddress> FrontDoorController::free_address(const NamespacedName& key) const {
  std::set<IpAddress> taken;
  for (const auto& [other, service] : shared_.services.objects()) {
    if (const auto ip = IpAddress::parse(first_address(*service))) taken.insert(*ip);
  }
  const std::uint64_t count = options_.load_balancers.size() - 2;  // not the first, not the last
  const std::uint64_t start = std::hash<NamespacedName>{}(key) % count;
  for (std::uint64_t i = 0; i < count; ++i) {
    const IpAddress candidate = options_.load_balancers.at(1 + (start + i) % count);
    if (!taken.contains(candidate)) return candidate;
  }
  return kube::internal_error("no address is left in " + options_.load_balancers.to_string());
}

bool FrontDoorController::is_ours(const json::object& ingress) const {
  std::string_view wanted = kube::string_at(ingress, "spec.ingressClassName");
  if (wanted.empty()) wanted = kube::annotation_of(ingress, kClassAnnotation);
  if (!wanted.empty()) return wanted == kClass;
  return std::ranges::any_of(shared_.ingress_classes.objects(), [](const auto& entry) {
    return entry.first.name == kClass &&
           kube::annotation_of(*entry.second, kDefaultClass) == "true";
  });
}

rt::Task<ApiResult<Reconciled>> FrontDoorController::reconcile_ingress(NamespacedName key) {
  const ObjectPtr ingress = shared_.ingresses.get(key);
  if (!ingress || kube::is_deleting(*ingress) || !is_ours(*ingress)) co_return Reconciled{};
  json::object changed = *ingress;
  kube::set_at(
      changed, "status.loadBalancer.ingress",
      json::array{json::object{{"ip", options_.ingress.to_string()},
                               {"ports", json::array{json::object{{"port", options_.ingress_port},
                                                                  {"protocol", "TCP"}}}}}});
  CO_TRY_VOID(co_await write_status(shared_, shared_.ingresses, ingress, std::move(changed)));
  co_return Reconciled{};
}

}  // namespace tulle::controllers
