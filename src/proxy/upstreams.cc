#include "proxy/upstreams.h"

#include "rt/combine.h"

#include <algorithm>

namespace tulle::proxy {

Upstreams::Upstreams(rt::Loop& loop, net::Network& network)
    : loop_(loop), network_(network), idle_(loop), pods_(std::make_shared<const PodTable>()) {}

Upstreams::~Upstreams() = default;

void Upstreams::set_pods(PodTablePtr pods) {
  const PodTablePtr before = std::exchange(pods_, std::move(pods));
  const auto gone = [&before, this](const UpstreamKey& key) {
    const auto was = before->find(key.endpoint.ip);
    if (was == before->end()) return false;
    const auto is = pods_->find(key.endpoint.ip);
    return is == pods_->end() || is->second->uid != was->second->uid;
  };
  idle_.drop_if(gone);
  std::erase_if(shared_, [&gone](const auto& shared) { return gone(shared.first); });
}

void Upstreams::close_idle(const IpAddress& address) {
  idle_.drop_if([&](const UpstreamKey& key) { return key.endpoint.ip == address; });
  std::erase_if(shared_, [&](const auto& shared) {
    const auto& [key, place] = shared;
    const auto in_use = [](const Client& client) { return client.http2->streams() != 0; };
    return key.endpoint.ip == address && !place->dialling &&
           std::ranges::none_of(place->clients, in_use);
  });
}

Result<net::NamespacePtr> Upstreams::space_of(const IpAddress& ip,
                                              const mesh::Networks& networks) const {
  if (const auto pod = pods_->find(ip); pod != pods_->end()) return pod->second->space;
  if (networks.pods.contains(ip) || networks.services.contains(ip)) {
    return fail(Code::refused, "no pod of this node has the address " + ip.to_string());
  }
  return net::NamespacePtr();
}

Result<std::unique_ptr<net::Datagram>> Upstreams::bind_datagram(const SocketAddress& to,
                                                                const IpAddress& caller,
                                                                const mesh::Networks& networks) {
  const IpAddress any = to.ip.is_v4() ? IpAddress() : IpAddress::v6({});
  net::ListenOptions options{.at = {.ip = any, .port = 0}, .peer = to};
  TRY(options.in, space_of(to.ip, networks));
  if (options.in && !caller.is_unspecified()) options.at.ip = caller;
  return network_.bind_datagram(options);
}

namespace {

rt::Task<Result<std::unique_ptr<net::Stream>>> connect_and_announce(net::Network& network,
                                                                    net::ConnectOptions options,
                                                                    std::string announcement) {
  CO_TRY(auto stream, co_await network.connect(std::move(options)));
  CO_TRY_VOID(co_await net::write_all(*stream, announcement));
  co_return stream;
}

}  // namespace

rt::Task<Result<std::unique_ptr<net::Stream>>> Upstreams::connect(const UpstreamKey& key,
                                                                  const mesh::Networks& networks,
                                                                  Duration timeout) {
  net::ConnectOptions options{.to = key.endpoint};
  CO_TRY(options.in, space_of(key.endpoint.ip, networks));
  if (options.in && !key.caller.is_unspecified()) {
    options.from = SocketAddress{.ip = key.caller, .port = 0};
  }
  auto connected = key.announcement.empty()
                       ? network_.connect(std::move(options))
                       : connect_and_announce(network_, std::move(options), key.announcement);
  co_return co_await rt::with_deadline(loop_, loop_.now() + timeout, std::move(connected));
}

rt::Task<Result<Upstream>> Upstreams::get(const UpstreamKey& key, Version version,
                                          const ConnectLimits& limits,
                                          const mesh::Networks& networks) {
  if (version == Version::http2) {
    auto shared = co_await share(key, limits, networks);
    if (!shared || !limits.websocket) co_return shared;
    const Instant patience = loop_.now() + limits.timeout;
    if (co_await shared->stream->takes_websocket(patience)) co_return shared;
  }
  while (!limits.fresh) {
    auto idle = idle_.take(key);
    if (!idle) break;
    if (!too_old(idle->created_at(), limits)) co_return Upstream{.connection = std::move(idle)};
  }
  CO_TRY(auto stream, co_await connect(key, networks, limits.timeout));
  co_return Upstream{.connection =
                         std::make_unique<http::ClientConnection>(loop_, std::move(stream))};
}

// The connection with the fewest streams; a new one where none can have more. One is dialled at a
// time: whoever comes meanwhile shares it.
rt::Task<Result<Upstream>> Upstreams::share(const UpstreamKey& key, ConnectLimits limits,
                                            const mesh::Networks& networks) {
  std::shared_ptr<Shared>& place = shared_[key];
  if (!place) place = std::make_shared<Shared>();
  const std::shared_ptr<Shared> shared = place;
  const auto usable = [&](const Client& client) {
    return client.http2->usable() && !too_old(client.created_at, limits);
  };
  for (;;) {
    std::erase_if(shared->clients, [&](const Client& client) {
      return !usable(client) && client.http2->streams() == 0;
    });
    http::Http2Client* best = nullptr;
    for (const Client& client : shared->clients) {
      if (limits.fresh || !usable(client)) continue;
      if (best == nullptr || client.http2->streams() < best->streams()) best = client.http2.get();
    }
    if (best != nullptr) co_return Upstream{.stream = best->open()};
    if (!shared->dialling) break;
    co_await rt::wait_on(shared->dialled);
    limits.fresh = false;
  }
  struct Dialling {
    rt::Loop& loop;
    Shared& shared;
    ~Dialling() {
      shared.dialling = false;
      shared.dialled.wake_all(loop);
    }
  } dialling{loop_, *shared};
  shared->dialling = true;
  CO_TRY(auto stream, co_await connect(key, networks, limits.timeout));
  shared->clients.push_back({.http2 = std::make_unique<http::Http2Client>(loop_, std::move(stream)),
                             .created_at = loop_.now()});
  co_return Upstream{.stream = shared->clients.back().http2->open()};
}

}  // namespace tulle::proxy
