#include "app/request_rates.h"

#include "codec/json.h"
#include "rt/sleep.h"

#include <boost/json.hpp>

namespace tulle::app {

ProxyRequestRates::ProxyRequestRates(rt::Loop& loop, net::Network& network,
                                     std::string admin_socket)
    : loop_(loop), proxy_(loop, network, {.unix_path = std::move(admin_socket)}), scope_(loop) {
  scope_.spawn(poll());
}

std::optional<double> ProxyRequestRates::per_second(const IpAddress& pod) {
  wanted_until_ = loop_.now() + interest_max;
  wanted_.wake_all(loop_);
  const auto found = samples_.find(pod);
  if (found == samples_.end() || found->second.size() < 2) return std::nullopt;
  const Sample& first = found->second.front();
  const Sample& last = found->second.back();
  const std::chrono::duration<double> time = last.at - first.at;
  return static_cast<double>(last.requests - first.requests) / time.count();
}

rt::Task<void> ProxyRequestRates::poll() {
  for (;;) {
    while (loop_.now() >= wanted_until_) {
      samples_.clear();
      co_await rt::wait_on(wanted_);
    }
    // A proxy that is being started again is asked again; until then nothing is known.
    const auto reply = co_await proxy_.get("/loads");
    if (reply && reply->head.status == 200) {
      take(reply->body);
    } else {
      samples_.clear();
    }
    co_await rt::sleep(loop_, poll_period);
  }
}

void ProxyRequestRates::take(std::string_view loads) {
  const auto parsed = codec::parse_json(loads);
  if (!parsed || !parsed->is_object()) return samples_.clear();
  const Instant now = loop_.now();
  std::map<IpAddress, std::deque<Sample>> kept;
  for (const auto& [text, count] : parsed->get_object()) {
    const auto address = IpAddress::parse(text);
    if (!address || !count.is_int64()) continue;
    const auto requests = static_cast<std::uint64_t>(count.get_int64());
    std::deque<Sample> samples = std::move(samples_[*address]);
    // Fewer than before: another pod has this address, or another proxy counts.
    if (!samples.empty() && requests < samples.back().requests) samples.clear();
    while (!samples.empty() && samples.front().at < now - rate_window) samples.pop_front();
    samples.push_back({.at = now, .requests = requests});
    kept.emplace(*address, std::move(samples));
  }
  samples_ = std::move(kept);
}

}  // namespace tulle::app
