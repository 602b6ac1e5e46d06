#include "kube/quota.h"

#include "kube/object.h"
#include "kube/pod.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>

namespace tulle::kube {

namespace json = boost::json;

namespace {

const Quantity one = Quantity::from_integer(1);

void add_pod(const json::object& pod, Resources& usage) {
  if (has_ended(pod)) return;
  usage["pods"] = one;
  for (const auto& [name, amount] : pod_requests(pod)) {
    usage["requests." + name] = amount;
    // The short names are those of the resources that every node has.
    if (name == "cpu" || name == "memory" || name == "ephemeral-storage") usage[name] = amount;
  }
  for (const auto& [name, amount] : pod_limits(pod)) usage["limits." + name] = amount;
}

void add_service(const json::object& service, Resources& usage) {
  usage["services"] = one;
  const std::string_view type = string_at(service, "spec.type");
  const bool balanced = type == "LoadBalancer";
  if (balanced) usage["services.loadbalancers"] = one;
  const bool has_node_ports =
      type == "NodePort" ||
      (balanced && bool_at(service, "spec.allocateLoadBalancerNodePorts", true));
  if (has_node_ports) {
    const auto ports = array_at(service, "spec.ports").size();
    usage["services.nodeports"] = Quantity::from_integer(static_cast<std::int64_t>(ports));
  }
}

void add_claim(const json::object& claim, Resources& usage) {
  usage["persistentvolumeclaims"] = one;
  const std::string_view storage_class = string_at(claim, "spec.storageClassName");
  const auto with_class = [&](std::string_view what) {
    return fmt::format("{}.storageclass.storage.k8s.io/{}", storage_class, what);
  };
  if (!storage_class.empty()) usage[with_class("persistentvolumeclaims")] = one;
  const Resources requests = resources_from(object_at(claim, "spec.resources.requests"));
  const auto storage = requests.find("storage");
  if (storage == requests.end()) return;
  usage["requests.storage"] = storage->second;
  if (!storage_class.empty()) usage[with_class("requests.storage")] = storage->second;
}

struct Requirement {
  std::string_view scope;
  std::string_view op;  // of core/v1 ScopedResourceSelectorRequirement
  const json::array& values;
};

bool is_among(const json::array& values, std::string_view wanted) {
  return std::ranges::any_of(values,
                             [&](const json::value& value) { return string_or(value) == wanted; });
}

bool meets(const json::object& pod, const Requirement& requirement) {
  if (requirement.scope == "BestEffort") return qos_class(pod) == "BestEffort";
  if (requirement.scope == "NotBestEffort") return qos_class(pod) != "BestEffort";
  if (requirement.scope == "Terminating") return find(pod, "spec.activeDeadlineSeconds") != nullptr;
  if (requirement.scope == "NotTerminating") {
    return find(pod, "spec.activeDeadlineSeconds") == nullptr;
  }
  if (requirement.scope != "PriorityClass") return false;
  const std::string_view name = string_at(pod, "spec.priorityClassName");
  if (requirement.op == "DoesNotExist") return name.empty();
  if (requirement.op == "In") return is_among(requirement.values, name);
  if (requirement.op == "NotIn") return !is_among(requirement.values, name);
  return !name.empty();
}

}  // namespace

Resources quota_usage(std::string_view group, std::string_view plural, const json::object& object) {
  Resources usage;
  const std::string counted =
      group.empty() ? std::string(plural) : fmt::format("{}.{}", plural, group);
  usage["count/" + counted] = one;
  if (!group.empty()) return usage;
  if (plural == "pods") {
    add_pod(object, usage);
  } else if (plural == "services") {
    add_service(object, usage);
  } else if (plural == "persistentvolumeclaims") {
    add_claim(object, usage);
  } else if (plural == "configmaps" || plural == "secrets" || plural == "resourcequotas") {
    usage[std::string(plural)] = one;
  }
  return usage;
}

bool quota_covers(const json::object& quota, std::string_view group, std::string_view plural,
                  const json::object& object) {
  const json::array& scopes = array_at(quota, "spec.scopes");
  const json::array& expressions = array_at(quota, "spec.scopeSelector.matchExpressions");
  if (scopes.empty() && expressions.empty()) return true;
  if (!group.empty() || plural != "pods") return false;
  static const json::array nothing;
  return std::ranges::all_of(
             scopes,
             [&](const json::value& scope) {
               return meets(object, {.scope = string_or(scope), .op = "Exists", .values = nothing});
             }) &&
         std::ranges::all_of(expressions, [&](const json::value& value) {
           const json::object& expression = object_or_empty(value);
           return meets(object, {.scope = string_at(expression, "scopeName"),
                                 .op = string_at(expression, "operator"),
                                 .values = array_at(expression, "values")});
         });
}

}  // namespace tulle::kube
