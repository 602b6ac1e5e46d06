// What one metric of a HorizontalPodAutoscaler says of a workload's pods. Pure.
#pragma once

#include "controllers/autoscale.h"
#include "controllers/request_rates.h"
#include "controllers/shared.h"

#include <map>
#include <string>
#include <vector>

namespace tulle::controllers {

// The metric of type Pods that the mesh measures.
inline constexpr std::string_view requests_per_second = "requests_per_second";

// The pods of a workload, and what is known of them.
struct PodMetrics {
  std::vector<ObjectPtr> pods;
  std::map<std::string, ObjectPtr, std::less<>> usage;  // PodMetrics by the pod's name
  RequestRates* rates = nullptr;
  kube::Time now;
};

// What a metric comes to.
struct Weighed {
  std::int64_t replicas = 0;
  json::object status;      // its element of status.currentMetrics
  std::string description;  // "cpu resource utilization (percentage of request)"
};

// `metric` is an element of spec.metrics. An error's reason is that of the condition ScalingActive
// ("FailedGetResourceMetric"), its message says what to do.
struct MetricFailure {
  std::string reason;
  std::string message;
};
std::expected<Weighed, MetricFailure> weigh_metric(const json::object& metric,
                                                   const PodMetrics& metrics, std::int64_t current,
                                                   const Tolerance& tolerance);

}  // namespace tulle::controllers
