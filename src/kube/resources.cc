#include "kube/resources.h"

#include "kube/object.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::kube {

namespace json = boost::json;

namespace {

void add(Resources& sum, const Resources& more) {
  for (const auto& [name, amount] : more) sum[name] += amount;
}

void raise(Resources& most, const Resources& other) {
  for (const auto& [name, amount] : other) most[name] = std::max(most[name], amount);
}

Resources of_container(const json::value& container, std::string_view which) {
  return resources_from(object_at(object_at(object_or_empty(container), "resources"), which));
}

bool restarts_always(const json::value& init_container) {
  return string_at(object_or_empty(init_container), "restartPolicy") == "Always";
}

// `which`: "requests" or "limits".
Resources of_pod(const json::object& pod, std::string_view which) {
  Resources sidecars;
  Resources most;  // while an init container runs
  for (const json::value& container : array_at(pod, "spec.initContainers")) {
    Resources now = of_container(container, which);
    add(now, sidecars);
    raise(most, now);
    if (restarts_always(container)) sidecars = std::move(now);
  }
  Resources sum = std::move(sidecars);
  for (const json::value& container : array_at(pod, "spec.containers")) {
    add(sum, of_container(container, which));
  }
  raise(sum, most);
  raise(sum, resources_from(object_at(object_at(pod, "spec.resources"), which)));
  return sum;
}

constexpr std::string_view compute[] = {"cpu", "memory"};

bool asks_for_any(const Resources& resources) {
  return std::ranges::any_of(compute, [&](std::string_view name) {
    const auto found = resources.find(name);
    return found != resources.end() && !found->second.is_zero();
  });
}

bool is_guaranteed(const Resources& requests, const Resources& limits) {
  return std::ranges::all_of(compute, [&](std::string_view name) {
    const auto limit = limits.find(name);
    const auto request = requests.find(name);
    return limit != limits.end() && !limit->second.is_zero() && request != requests.end() &&
           request->second == limit->second;
  });
}

}  // namespace

Resources resources_from(const json::object& list) {
  Resources resources;
  for (const auto& [name, amount] : list) {
    if (auto parsed = Quantity::parse(scalar_text(amount))) resources[std::string(name)] = *parsed;
  }
  return resources;
}

json::object to_json(const Resources& resources) {
  json::object list;
  for (const auto& [name, amount] : resources) list[name] = amount.to_string();
  return list;
}

Resources pod_requests(const json::object& pod) {
  Resources requests = of_pod(pod, "requests");
  add(requests, resources_from(object_at(pod, "spec.overhead")));
  return requests;
}

Resources pod_limits(const json::object& pod) {
  Resources limits = of_pod(pod, "limits");
  for (const auto& [name, amount] : resources_from(object_at(pod, "spec.overhead"))) {
    if (const auto limit = limits.find(name); limit != limits.end()) limit->second += amount;
  }
  return limits;
}

std::string_view qos_class(const json::object& pod) {
  if (const json::object* whole = find_object(pod, "spec.resources")) {
    const Resources requests = resources_from(object_at(*whole, "requests"));
    const Resources limits = resources_from(object_at(*whole, "limits"));
    if (is_guaranteed(requests, limits)) return "Guaranteed";
    if (asks_for_any(requests) || asks_for_any(limits)) return "Burstable";
  }
  bool asks = false;
  bool guaranteed = true;
  for (const char* list : {"spec.containers", "spec.initContainers"}) {
    for (const json::value& container : array_at(pod, list)) {
      const Resources requests = of_container(container, "requests");
      const Resources limits = of_container(container, "limits");
      asks = asks || asks_for_any(requests) || asks_for_any(limits);
      guaranteed = guaranteed && is_guaranteed(requests, limits);
    }
  }
  return !asks ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
}

}  // namespace tulle::kube
