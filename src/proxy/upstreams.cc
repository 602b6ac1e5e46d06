#include "proxy/upstreams.h"

#include "proxy/admission.h"
#include "rt/combine.h"

#include <algorithm>
#include <utility>

namespace tulle::proxy {

Upstreams::Upstreams(rt::Loop& loop, net::Network& network)
    : loop_(loop),
      network_(network),
      idle_(loop),
      pods_(std::make_shared<const PodTable>()),
      self_(std::make_shared<Self>(loop, this)) {}

Upstreams::~Upstreams() { self_->upstreams = nullptr; }

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

// A connection that has a place among those of its endpoint, as long as it is there.
class PlacedStream final : public net::WrappedStream {
 public:
  PlacedStream(std::unique_ptr<net::Stream> inner, mesh::Gate::Place place)
      : WrappedStream(std::move(inner)), place_(std::move(place)) {}
  // The place is given back once the connection is closed.
  ~PlacedStream() override { inner_.reset(); }
  PlacedStream(const PlacedStream&) = delete;
  PlacedStream& operator=(const PlacedStream&) = delete;

 private:
  const mesh::Gate::Place place_;
};

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

struct Upstreams::Waiting {
  const UpstreamKey& key;
  bool takes_kept = false;
  mesh::Gate::Place place = {};
  std::shared_ptr<Turn> turn = {};
  // One that has a place, which another request has left: in place of a new one.
  std::unique_ptr<http::ClientConnection> connection = {};
};

rt::Task<Result<void>> Upstreams::enter(Waiting& waiting, const ConnectLimits& limits) {
  using Entry = mesh::Gate::Entry;
  const Instant until = loop_.now() + limits.place_patience;
  waiting.turn = std::make_shared<Turn>(loop_);
  waiting.place = mesh::Gate::enter(limits.places, limits.place_limits, on_turn(waiting.turn),
                                    {.who = this, .on_wanted = room_maker(waiting.key.endpoint)});
  if (waiting.place.entry() == Entry::waiting) {
    co_await rt::race(waiting.turn->come.wait(), rt::until(loop_, until));
  }
  if (waiting.connection || waiting.place.entry() == Entry::inside) co_return Result<void>();
  co_return fail(Code::exhausted, "endpoint " + waiting.key.endpoint.to_string() +
                                      " has as many connections as its policy allows");
}

rt::Task<Result<std::unique_ptr<net::Stream>>> Upstreams::dial(const UpstreamKey& key,
                                                               const ConnectLimits& limits,
                                                               const mesh::Networks& networks) {
  if (!limits.places) co_return co_await connect(key, networks, limits.timeout);
  Waiting waiting{.key = key};
  CO_TRY_VOID(co_await enter(waiting, limits));
  CO_TRY(auto stream, co_await connect(key, networks, limits.timeout));
  co_return std::make_unique<PlacedStream>(std::move(stream), std::move(waiting.place));
}

rt::Task<Result<Upstream>> Upstreams::get_placed(const UpstreamKey& key,
                                                 const ConnectLimits& limits,
                                                 const mesh::Networks& networks) {
  Waiting waiting{.key = key, .takes_kept = !limits.fresh};
  {
    struct Listed {
      std::list<Waiting*>& list;
      std::list<Waiting*>::iterator self;
      ~Listed() { list.erase(self); }
    } listed{.list = waiting_, .self = waiting_.insert(waiting_.end(), &waiting)};
    CO_TRY_VOID(co_await enter(waiting, limits));
  }
  if (!waiting.connection) {
    CO_TRY(auto stream, co_await connect(key, networks, limits.timeout));
    waiting.connection = std::make_unique<http::ClientConnection>(
        loop_, std::make_unique<PlacedStream>(std::move(stream), std::move(waiting.place)));
  }
  co_return Upstream{.connection = std::move(waiting.connection), .places = limits.places};
}

void Upstreams::put(const UpstreamKey& key, Upstream upstream) {
  if (!upstream.connection) return;
  const bool wanted = upstream.places && upstream.places->waiting() > 0;
  if (wanted) return hand_over(key, std::move(upstream));
  idle_.put(key, std::move(upstream.connection));
}

// Somebody waits for a place at the endpoint. If it is one of ours who may have the connection as
// it is, it gets that; else the place alone.
void Upstreams::hand_over(const UpstreamKey& key, Upstream upstream) {
  http::ClientConnection& connection = *upstream.connection;
  if (!connection.reusable() || !connection.idle_alive()) return;
  for (Waiting* waiting : waiting_) {
    const bool fits = waiting->takes_kept && !waiting->connection && waiting->key == key;
    if (!fits || !upstream.places->is_next(waiting->place)) continue;
    waiting->connection = std::move(upstream.connection);
    waiting->place.leave();
    return waiting->turn->come.set();
  }
}

// Soon, from any thread.
std::function<void()> Upstreams::room_maker(const SocketAddress& endpoint) {
  return [self = self_, endpoint] {
    self->loop.post([self, endpoint] {
      if (self->upstreams != nullptr) self->upstreams->make_room(endpoint);
    });
  };
}

// Closes one connection that nothing is under way on, if there is any.
void Upstreams::make_room(const SocketAddress& endpoint) {
  bool closed = false;
  idle_.drop_if([&](const UpstreamKey& key) {
    if (closed || key.endpoint != endpoint) return false;
    closed = true;
    return true;
  });
  if (closed) return;
  for (const auto& [key, place] : shared_) {
    if (key.endpoint != endpoint) continue;
    const auto unused = std::ranges::find_if(
        place->clients, [](const Client& client) { return client.http2->streams() == 0; });
    if (unused == place->clients.end()) continue;
    place->clients.erase(unused);
    return;
  }
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
    if (too_old(idle->created_at(), limits)) continue;
    co_return Upstream{.connection = std::move(idle), .places = limits.places};
  }
  if (limits.places) co_return co_await get_placed(key, limits, networks);
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
    if (best != nullptr) co_return Upstream{.stream = best->open(), .places = limits.places};
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
  CO_TRY(auto stream, co_await dial(key, limits, networks));
  http::Http2ClientOptions options;
  if (limits.places) {
    options.on_idle = [places = limits.places, make_room = room_maker(key.endpoint)] {
      if (places->waiting() > 0) make_room();
    };
  }
  shared->clients.push_back(
      {.http2 = std::make_unique<http::Http2Client>(loop_, std::move(stream), options),
       .created_at = loop_.now()});
  co_return Upstream{.stream = shared->clients.back().http2->open(), .places = limits.places};
}

}  // namespace tulle::proxy
