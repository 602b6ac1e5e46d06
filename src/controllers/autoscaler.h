// HorizontalPodAutoscalers (autoscaling/v2): look at the metrics of a workload's pods every fifteen
// seconds, and set its scale. CPU and memory come from metrics.k8s.io; requests per second, as the
// metric "requests_per_second" of type Pods, from the mesh.
#pragma once

#include "controllers/autoscale.h"
#include "controllers/request_rates.h"
#include "controllers/shared.h"

#include <map>
#include <optional>
#include <string>

namespace tulle::controllers {

class AutoscalerController final {
 public:
  static constexpr Duration period = std::chrono::seconds(15);

  // `rates` may be null: there is no mesh to ask. Both must outlive the controller.
  AutoscalerController(Shared& shared, RequestRates* rates);
  rt::Task<void> run();

 private:
  struct Target;
  class Report;
  struct Change {
    std::int64_t replicas = 0;
    std::string metric;  // that asks for it
  };

  rt::Task<ApiResult<Reconciled>> reconcile(NamespacedName key);
  ApiResult<Target> target_of(const json::object& autoscaler) const;
  std::optional<Change> decide(const json::object& autoscaler, const Target& target,
                               Report& report);
  rt::Task<ApiResult<json::object>> adjusted(ObjectPtr autoscaler, Target target);
  rt::Task<ApiResult<void>> scale(Target target, std::int64_t replicas);

  Shared& shared_;
  RequestRates* rates_;
  std::map<std::string, ScaleHistory, std::less<>> histories_;  // by the autoscaler's uid
  kubeclient::WorkQueue queue_;
  kubeclient::Reconcile reconcile_;
};

}  // namespace tulle::controllers
