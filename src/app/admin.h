// The proxy's admin server: /metrics in the Prometheus text format, /healthz.
#pragma once

#include "http/server.h"
#include "obs/metrics.h"

namespace tulle::app {

class Admin final : public http::Handler {
 public:
  // `registry` must outlive it.
  explicit Admin(const obs::Registry& registry) : registry_(registry) {}
  rt::Task<void> handle(http::Request& request, http::Exchange& exchange) override;

 private:
  const obs::Registry& registry_;
};

}  // namespace tulle::app
