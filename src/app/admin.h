// The proxy's admin server: /metrics in the Prometheus text format, /healthz, and for who may know
// what the mesh looks like /explain and /loads (proxy/loads.h).
#pragma once

#include "http/server.h"
#include "obs/metrics.h"
#include "proxy/explain.h"

#include <functional>

namespace tulle::app {

class Admin final : public http::Handler {
 public:
  // What is told of the mesh; empty where nobody may ask that.
  struct Mesh {
    std::function<Result<std::string>(const proxy::ImaginedRequest&)> explain = {};
    std::function<std::string()> loads = {};
  };

  // `registry` must outlive it. `update` brings up to date what is not counted as it happens.
  Admin(const obs::Registry& registry, std::function<void()> update, Mesh mesh)
      : registry_(registry), update_(std::move(update)), mesh_(std::move(mesh)) {}
  rt::Task<void> handle(http::Request& request, http::Exchange& exchange) override;

 private:
  codec::ResponseHead answer(const codec::RequestHead& request, std::string& body) const;

  const obs::Registry& registry_;
  const std::function<void()> update_;
  const Mesh mesh_;
};

}  // namespace tulle::app
