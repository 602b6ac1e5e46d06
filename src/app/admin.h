// The proxy's admin server: /metrics in the Prometheus text format, /healthz, and /explain for who
// may know what the mesh looks like.
#pragma once

#include "http/server.h"
#include "obs/metrics.h"
#include "proxy/explain.h"

#include <functional>

namespace tulle::app {

class Admin final : public http::Handler {
 public:
  using Explain = std::function<Result<std::string>(const proxy::ImaginedRequest&)>;

  // `registry` must outlive it. `update` brings up to date what is not counted as it happens.
  // `explain`: empty where nobody may ask that.
  Admin(const obs::Registry& registry, std::function<void()> update, Explain explain)
      : registry_(registry), update_(std::move(update)), explain_(std::move(explain)) {}
  rt::Task<void> handle(http::Request& request, http::Exchange& exchange) override;

 private:
  codec::ResponseHead answer(const codec::RequestHead& request, std::string& body) const;

  const obs::Registry& registry_;
  const std::function<void()> update_;
  const Explain explain_;
};

}  // namespace tulle::app
