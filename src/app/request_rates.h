// Requests per second of every pod, from the counters of the node's proxy.
#pragma once

#include "controllers/request_rates.h"
#include "http/client.h"
#include "rt/scope.h"
#include "rt/sync.h"

#include <deque>
#include <map>
#include <string>

namespace tulle::app {

// Asks the proxy every few seconds as long as somebody wants to know. Belongs to one loop.
class ProxyRequestRates final : public controllers::RequestRates {
 public:
  static constexpr Duration poll_period = std::chrono::seconds(5);
  static constexpr Duration rate_window = std::chrono::seconds(30);
  // Nobody asked for so long: the proxy is left alone.
  static constexpr Duration interest_max = std::chrono::minutes(2);

  // `network` must outlive it. `admin_socket` is the proxy's.
  ProxyRequestRates(rt::Loop& loop, net::Network& network, std::string admin_socket);

  std::optional<double> per_second(const IpAddress& pod) override;

 private:
  struct Sample {
    Instant at;
    std::uint64_t requests = 0;
  };

  rt::Task<void> poll();
  void take(std::string_view loads);

  rt::Loop& loop_;
  http::Client proxy_;
  std::map<IpAddress, std::deque<Sample>> samples_;  // oldest first, those of the window
  Instant wanted_until_{};
  rt::WaitList wanted_;
  rt::Scope scope_;
};

}  // namespace tulle::app
