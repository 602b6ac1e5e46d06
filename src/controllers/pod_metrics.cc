#include "controllers/pod_metrics.h"

#include "base/address.h"
#include "kube/quantity.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>
#include <cmath>

namespace tulle::controllers {

namespace {

// A pod's CPU says nothing of its work before so long, unless it has been ready for a while.
constexpr Duration kStartUp = std::chrono::minutes(5);
// One that has not been ready at all says so within this time of its start.
constexpr Duration kFirstReadiness = std::chrono::seconds(30);
constexpr std::int64_t kWhole = 100;
constexpr std::int64_t kMilli = 1000;

template <class T>
using Outcome = std::expected<T, MetricFailure>;

std::int64_t milli(const json::value& quantity) {
  const auto parsed = kube::Quantity::parse(kube::scalar_text(quantity));
  return parsed ? parsed->milli_value() : 0;
}

std::int64_t milli_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr ? 0 : milli(*value);
}

std::string quantity(std::int64_t thousandths) {
  return kube::Quantity::from_milli(thousandths).to_string();
}

bool counts(const json::object& pod) {
  return !kube::is_deleting(pod) && kube::string_at(pod, "status.phase") != "Failed";
}

// The containers that a metric is about: one of that name, or all.
template <class Visit>
void for_containers(const json::array& containers, std::string_view name, Visit visit) {
  for (const json::value& value : containers) {
    const json::object& container = kube::object_or_empty(value);
    if (name.empty() || kube::string_at(container, "name") == name) visit(container);
  }
}

std::optional<std::int64_t> usage_of(const PodMetrics& metrics, const json::object& pod,
                                     std::string_view resource, std::string_view container) {
  const auto found = metrics.usage.find(kube::name_of(pod));
  if (found == metrics.usage.end()) return std::nullopt;
  std::int64_t sum = 0;
  for_containers(
      kube::array_at(*found->second, "containers"), container,
      [&](const json::object& each) { sum += milli_at(kube::object_at(each, "usage"), resource); });
  return sum;
}

Outcome<std::int64_t> request_of(const json::object& pod, std::string_view resource,
                                 std::string_view container) {
  std::int64_t sum = 0;
  std::string_view silent;
  for_containers(kube::array_at(pod, "spec.containers"), container, [&](const json::object& each) {
    const json::object& requests = kube::object_at(each, "resources.requests");
    if (!requests.contains(resource)) silent = kube::string_at(each, "name");
    sum += milli_at(requests, resource);
  });
  if (silent.empty() && sum > 0) return sum;
  return std::unexpected(MetricFailure{
      .reason = "FailedGetResourceMetric",
      .message = fmt::format("missing request for {} in container {} of Pod {}: set "
                             "resources.requests.{}, or use a target of type AverageValue",
                             resource, silent, kube::name_of(pod), resource)});
}

// A pod whose CPU is that of its start.
bool is_starting(const PodMetrics& metrics, const json::object& pod) {
  const json::object* ready = kube::find_condition(pod, "Ready");
  const auto started = kube::parse_time(kube::string_at(pod, "status.startTime"));
  if (ready == nullptr || !started) return true;
  const auto since = kube::parse_time(kube::string_at(*ready, "lastTransitionTime"));
  // Later it is judged although it is not ready: it may have too much to do.
  if (*started + kStartUp <= metrics.now) {
    return !is_ready(pod) && since && *since < *started + kFirstReadiness;
  }
  if (!is_ready(pod)) return true;
  const auto found = metrics.usage.find(kube::name_of(pod));
  if (found == metrics.usage.end()) return false;
  const auto measured = kube::parse_time(kube::string_at(*found->second, "timestamp"));
  return since && measured && *measured < *since;
}

struct Resource {
  std::string_view name;
  std::string_view container;  // "": all of the pod
};

struct Weight {
  std::vector<PodSample> samples;
  std::int64_t requests = 0;  // of those that were measured
  std::int64_t usage = 0;
  std::int64_t measured = 0;  // pods
};

void note(Weight& weight, PodSample sample, std::int64_t request) {
  if (sample.usage && !sample.starting) {
    weight.usage += *sample.usage;
    weight.requests += request;
    ++weight.measured;
  }
  weight.samples.push_back(sample);
}

Outcome<Weight> weigh_resource(const PodMetrics& metrics, const Resource& resource,
                               const json::object& target) {
  Weight weight;
  weight.samples.reserve(metrics.pods.size());
  const std::int64_t percent = kube::integer_at(target, "averageUtilization");
  const std::int64_t value = milli_at(target, "averageValue");
  for (const ObjectPtr& pod : metrics.pods) {
    if (!counts(*pod)) continue;
    PodSample sample{.allowance = value, .presumed = value};
    std::int64_t request = 0;
    if (percent > 0) {
      auto asked = request_of(*pod, resource.name, resource.container);
      if (!asked) return std::unexpected(std::move(asked).error());
      request = *asked;
      sample.allowance = request * percent / kWhole;
      sample.presumed = request * std::max(kWhole, percent) / kWhole;
    }
    sample.usage = usage_of(metrics, *pod, resource.name, resource.container);
    sample.starting = kube::string_at(*pod, "status.phase") == "Pending" ||
                      (resource.name == "cpu" && is_starting(metrics, *pod));
    note(weight, sample, request);
  }
  return weight;
}

Weight weigh_requests(const PodMetrics& metrics, const json::object& target) {
  Weight weight;
  weight.samples.reserve(metrics.pods.size());
  const std::int64_t value = milli_at(target, "averageValue");
  for (const ObjectPtr& pod : metrics.pods) {
    if (!counts(*pod)) continue;
    PodSample sample{.allowance = value, .presumed = value};
    sample.starting = kube::string_at(*pod, "status.phase") == "Pending";
    const auto address = IpAddress::parse(kube::string_at(*pod, "status.podIP"));
    if (const auto rate = address ? metrics.rates->per_second(*address) : std::nullopt) {
      sample.usage = std::llround(*rate * static_cast<double>(kMilli));
    }
    note(weight, sample, 0);
  }
  return weight;
}

json::object current_value(const Weight& weight) {
  json::object current{{"averageValue", quantity(weight.usage / weight.measured)}};
  if (weight.requests > 0) {
    current["averageUtilization"] = (weight.usage * kWhole + weight.requests / 2) / weight.requests;
  }
  return current;
}

std::unexpected<MetricFailure> unknown(std::string_view type, std::string message) {
  return std::unexpected(
      MetricFailure{.reason = fmt::format("FailedGet{}Metric", type), .message = message});
}

Outcome<Weighed> finish(const Weight& weight, std::string_view type, std::string_view key,
                        json::object source, std::int64_t current, const Tolerance& tolerance) {
  const auto proposed = propose(current, weight.samples, tolerance);
  if (!proposed) {
    return unknown(type,
                   "no metrics of ready pods are known yet: they are measured every few "
                   "seconds");
  }
  source["current"] = current_value(weight);
  return Weighed{.replicas = *proposed,
                 .status = {{"type", type}, {key, std::move(source)}},
                 .description = {}};
}

Outcome<Weighed> weigh_pods_metric(const json::object& metric, const PodMetrics& metrics,
                                   std::int64_t current, const Tolerance& tolerance) {
  const std::string_view name = kube::string_at(metric, "pods.metric.name");
  if (name != requests_per_second) {
    return unknown("Pods", fmt::format("the metric {} is not known: the mesh measures {}", name,
                                       requests_per_second));
  }
  if (metrics.rates == nullptr) return unknown("Pods", "no proxy runs that would count requests");
  auto weighed = finish(weigh_requests(metrics, kube::object_at(metric, "pods.target")), "Pods",
                        "pods", {{"metric", {{"name", name}}}}, current, tolerance);
  if (weighed) weighed->description = fmt::format("pods metric {}", name);
  return weighed;
}

}  // namespace

Outcome<Weighed> weigh_metric(const json::object& metric, const PodMetrics& metrics,
                              std::int64_t current, const Tolerance& tolerance) {
  const std::string_view type = kube::string_at(metric, "type");
  if (type == "Pods") return weigh_pods_metric(metric, metrics, current, tolerance);
  const bool whole = type == "Resource";
  if (!whole && type != "ContainerResource") {
    return unknown(type, fmt::format("metrics of type {} are not served here; there are Resource, "
                                     "ContainerResource and Pods",
                                     type));
  }
  const std::string_view key = whole ? "resource" : "containerResource";
  const json::object& source = kube::object_at(metric, key);
  const json::object& target = kube::object_at(source, "target");
  const Resource resource{.name = kube::string_at(source, "name"),
                          .container = kube::string_at(source, "container")};
  auto weight = weigh_resource(metrics, resource, target);
  if (!weight) return std::unexpected(std::move(weight).error());
  json::object said{{"name", resource.name}};
  if (!whole) said["container"] = resource.container;
  auto weighed = finish(*weight, type, key, std::move(said), current, tolerance);
  if (weighed) {
    const bool utilization = target.contains("averageUtilization");
    weighed->description =
        fmt::format("{} {} {}", resource.name, whole ? "resource" : "container resource",
                    utilization ? "utilization (percentage of request)" : "average value");
  }
  return weighed;
}

}  // namespace tulle::controllers
