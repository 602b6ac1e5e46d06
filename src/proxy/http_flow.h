// One HTTP connection of a client: each of its requests is routed, picked and forwarded on its own,
// those of HTTP/2 side by side. Each side may be of HTTP/1.1 or HTTP/2.
#pragma once

#include "http/server.h"
#include "proxy/choice.h"

#include <vector>

namespace tulle::proxy {

// Endpoints that may refuse the connection of one request: that costs nothing but the try.
inline constexpr std::size_t kAttemptsMax = 3;

class HttpFlow final : public http::Handler {
 public:
  // `context` must outlive the flow. `chosen` is for the first request.
  HttpFlow(Context& context, Downstream downstream, std::optional<Chosen> chosen = std::nullopt)
      : context_(context), downstream_(std::move(downstream)), chosen_(chosen) {}

  HttpFlow(const HttpFlow&) = delete;
  HttpFlow& operator=(const HttpFlow&) = delete;
  ~HttpFlow() override;

  // A connection by this key is kept for this client: what nobody else can use goes with it.
  void note_key(const UpstreamKey& key);

  rt::Task<void> handle(http::Request& request, http::Exchange& exchange) override;

 private:
  struct Asked;  // one request, and how far it is
  struct Tried;  // what came of one attempt

  bool take_explain_field(codec::Headers& headers) const;
  mesh::RouteRequest route_request(const codec::RequestHead& head) const;
  mesh::Decision route(const Asked& asked) const;
  Choice choose(Asked& asked);
  Upstreams::Version version_for(const http::Request& request, const Choice& choice) const;

  rt::Task<void> forward(Asked& asked);
  rt::Task<void> send(Asked& asked, http::Body* body);
  rt::Task<Tried> attempt(Asked& asked, http::Body* body, Choice choice);
  rt::Task<Tried> hedge(Asked& asked, Choice choice, Duration delay);
  rt::Task<Tried> attempt_later(Asked& asked, SocketAddress other, Duration delay);
  std::optional<Duration> hedge_delay(const Asked& asked, const Choice& choice) const;

  // After an attempt that gave no answer, or one that the policy retries: whether the request goes
  // once more. Waits for its time.
  rt::Task<bool> once_more(Asked& asked, Tried& tried);
  void note(Asked& asked, const Tried& tried);

  rt::Task<void> time_out(Asked& asked);
  rt::Task<void> answer(Asked& asked, int status, std::string why);
  rt::Task<void> hand_on(Asked& asked, Tried tried);
  rt::Task<Result<void>> relay(Asked& asked, Tried& tried);
  rt::Task<Result<void>> stream(Asked& asked, http::Response& response,
                                std::optional<std::string_view> first);
  rt::Task<Result<std::string_view>> read_next(Asked& asked, http::Body& body);
  rt::Task<void> relay_upgrade(Asked& asked, Tried& tried);

  Context& context_;
  const Downstream downstream_;
  std::optional<Chosen> chosen_;
  std::vector<UpstreamKey> announced_ = {};  // where connections begin with who this client is
  Metrics::Requests requests_{context_.metrics};
};

}  // namespace tulle::proxy
