// One HTTP connection of a client: each of its requests is routed, picked and forwarded on its own,
// those of HTTP/2 side by side. Each side may be of HTTP/1.1 or HTTP/2.
#pragma once

#include "http/server.h"
#include "proxy/choice.h"

#include <vector>

namespace tulle::proxy {

// Attempts of one request: refused connections cost nothing but the try.
inline constexpr std::size_t kAttemptsMax = 3;

class HttpFlow final : public http::Handler {
 public:
  // `context` must outlive the flow. `chosen` is for the first request.
  HttpFlow(Context& context, Downstream downstream, std::optional<Chosen> chosen = std::nullopt)
      : context_(context), downstream_(std::move(downstream)), chosen_(chosen) {}

  rt::Task<void> handle(http::Request& request, http::Exchange& exchange) override;

 private:
  struct Attempts;

  rt::Task<void> forward(http::Request& request, http::Exchange& exchange,
                         obs::AccessRecord& record);
  Choice choose(const codec::RequestHead& head, Attempts& attempts, obs::AccessRecord& record);
  Upstreams::Version version_for(const http::Request& request, const Choice& choice) const;
  rt::Task<void> time_out(http::Request& request, http::Exchange& exchange,
                          obs::AccessRecord& record);
  rt::Task<void> answer(http::Request& request, http::Exchange& exchange, int status,
                        std::string why, obs::AccessRecord& record);
  rt::Task<Result<void>> relay(http::Request& request, http::Response& response,
                               http::Exchange& exchange, obs::AccessRecord& record);
  rt::Task<Result<void>> stream(http::Response& response, http::Exchange& exchange,
                                std::optional<std::string_view> first);
  rt::Task<void> relay_upgrade(http::Channel& channel, http::Response& response,
                               http::Exchange& exchange, obs::AccessRecord& record);

  Context& context_;
  const Downstream downstream_;
  std::optional<Chosen> chosen_;
  Metrics::Requests requests_{context_.metrics};
};

}  // namespace tulle::proxy
