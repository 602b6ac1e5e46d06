// The proxy's metrics, made once and shared by its workers.
#pragma once

#include "obs/access_record.h"
#include "obs/metrics.h"

namespace tulle::proxy {

class Metrics final {
 public:
  // `registry` must outlive this.
  explicit Metrics(obs::Registry& registry);

  // Counts what came of a request or connection. From any thread.
  void record(const obs::AccessRecord& record);

  obs::Gauge& generation() { return generation_; }
  obs::Gauge& pods() { return pods_; }

 private:
  obs::Family<obs::Counter>& requests_;
  obs::Family<obs::Counter>& connections_;
  obs::Family<obs::Counter>& retries_;
  obs::Family<obs::Histogram>& duration_;
  obs::Gauge& generation_;
  obs::Gauge& pods_;
};

}  // namespace tulle::proxy
