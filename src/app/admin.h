// The proxy's admin server: /metrics in the Prometheus text format, /healthz.
#pragma once

#include "http/server.h"
#include "obs/metrics.h"

#include <functional>

namespace tulle::app {

class Admin final : public http::Handler {
 public:
  // `registry` must outlive it. `update` brings up to date what is not counted as it happens.
  Admin(const obs::Registry& registry, std::function<void()> update)
      : registry_(registry), update_(std::move(update)) {}
  rt::Task<void> handle(http::Request& request, http::Exchange& exchange) override;

 private:
  const obs::Registry& registry_;
  const std::function<void()> update_;
};

}  // namespace tulle::app
