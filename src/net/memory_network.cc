#include "net/memory_network.h"

#include "net/memory_pipe.h"
#include "rt/sleep.h"
#include "rt/sync.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <vector>

namespace tulle::net {

namespace {

constexpr std::size_t kBacklogMax = 4096;
constexpr std::size_t kDatagramsMax = 1024;
constexpr std::uint16_t kFirstEphemeralPort = 32768;

// A place to listen: an address in a namespace ("" is the process's own).
struct Place {
  std::string name;
  SocketAddress at;
  friend auto operator<=>(const Place&, const Place&) = default;
};

struct Backlog {
  explicit Backlog(rt::Loop& loop) : pending(loop, kBacklogMax) {}
  rt::Queue<std::unique_ptr<Stream>> pending;
};

struct Packet {
  std::string bytes;
  SocketAddress from;
  SocketAddress to;
};

struct Inbox {
  Inbox(rt::Loop& loop, std::optional<SocketAddress> from)
      : packets(loop, kDatagramsMax), peer(from) {}
  rt::Queue<Packet> packets;
  std::optional<SocketAddress> peer;  // of nobody else
};

}  // namespace

struct MemoryNetwork::State {
  State(rt::Loop& on, Random seeded, MemoryOptions chosen)
      : loop(on), random(seeded), options(chosen) {}

  // Who listens there: at the address itself, or at any address with that port.
  template <class T>
  std::shared_ptr<T> find(const std::map<Place, std::weak_ptr<T>>& table,
                          const Place& place) const {
    for (const IpAddress& ip : {place.at.ip, IpAddress()}) {
      const auto found = table.find({.name = place.name, .at = {.ip = ip, .port = place.at.port}});
      if (found == table.end()) continue;
      if (auto alive = found->second.lock()) return alive;
    }
    return nullptr;
  }

  void deliver(const std::string& name, Packet packet) const {
    const auto exact = inboxes.find({.name = name, .at = packet.to});
    auto to = exact == inboxes.end() ? nullptr : exact->second.lock();
    const auto catcher = catchers.find(name);
    if (!to && catcher != catchers.end()) to = catcher->second.lock();
    if (!to) to = find(inboxes, {.name = name, .at = packet.to});
    if (!to || dead.contains(packet.to.ip)) return;
    if (!to->peer || *to->peer == packet.from) to->packets.try_push(std::move(packet));
  }

  std::uint16_t ephemeral_port() {
    if (++last_port < kFirstEphemeralPort) last_port = kFirstEphemeralPort;
    return last_port;
  }

  rt::Loop& loop;
  Random random;
  MemoryOptions options;
  std::uint16_t last_port = kFirstEphemeralPort;
  std::map<Place, std::weak_ptr<Backlog>> listeners;
  std::map<Place, std::weak_ptr<Inbox>> inboxes;
  std::map<std::string, std::weak_ptr<Inbox>> catchers;  // by namespace
  std::map<std::string, SocketAddress> redirects;
  std::set<IpAddress> dead;
  std::multimap<IpAddress, std::weak_ptr<PipeBreaker>> connections;
};

namespace {

class MemoryListener final : public Listener {
 public:
  MemoryListener(std::shared_ptr<Backlog> backlog, const SocketAddress& at)
      : backlog_(std::move(backlog)), at_(at) {}
  rt::Task<Result<std::unique_ptr<Stream>>> accept() override {
    auto next = co_await backlog_->pending.pop();
    if (!next) co_return fail(Code::closed, "the listener is closed");
    co_return *std::move(next);
  }
  SocketAddress local_address() const override { return at_; }

 private:
  std::shared_ptr<Backlog> backlog_;
  SocketAddress at_;
};

std::string name_of(const NamespacePtr& in) { return in ? in->name : std::string(); }

}  // namespace

MemoryNetwork::MemoryNetwork(rt::Loop& loop, Random random, MemoryOptions options)
    : state_(std::make_shared<State>(loop, random, options)) {}
MemoryNetwork::~MemoryNetwork() = default;

rt::Task<Result<std::unique_ptr<Stream>>> MemoryNetwork::connect(ConnectOptions options) {
  const auto state = state_;
  const auto spread =
      static_cast<std::uint64_t>((state->options.latency_max - state->options.latency_min).count());
  const Duration extra(spread == 0 ? 0
                                   : static_cast<std::int64_t>(state->random.below(spread + 1)));
  co_await rt::sleep(state->loop, state->options.latency_min + extra);
  Place place{.name = name_of(options.in), .at = options.to};
  const auto redirect = state->redirects.find(place.name);
  if (redirect != state->redirects.end()) place.at = redirect->second;
  const auto backlog = state->find(state->listeners, place);
  if (!backlog || state->dead.contains(options.to.ip)) {
    co_return fail(Code::refused, "connecting to " + options.to.to_string() + ": refused");
  }
  SocketAddress from = options.from.value_or(SocketAddress{});
  if (from.port == 0) from.port = state->ephemeral_port();
  Pipe pipe = make_pipe(state->loop, {.capacity = state->options.pipe_capacity,
                                      .latency_min = state->options.latency_min,
                                      .latency_max = state->options.latency_max,
                                      .seed = state->random.next(),
                                      .a_address = from,
                                      .b_address = place.at,
                                      .b_original_destination = options.to});
  state->connections.emplace(options.to.ip, pipe.breaker);
  if (!backlog->pending.try_push(std::move(pipe.b))) {
    co_return fail(Code::refused, "connecting to " + options.to.to_string() + ": backlog full");
  }
  co_return std::move(pipe.a);
}

Result<std::unique_ptr<Listener>> MemoryNetwork::listen(const ListenOptions& options) {
  Place place{.name = name_of(options.in), .at = options.at};
  if (place.at.port == 0) place.at.port = state_->ephemeral_port();
  auto& slot = state_->listeners[place];
  if (!slot.expired()) {
    return fail(Code::already_exists, place.at.to_string() + " is taken");
  }
  auto backlog = std::make_shared<Backlog>(state_->loop);
  slot = backlog;
  return std::unique_ptr<Listener>(std::make_unique<MemoryListener>(backlog, place.at));
}

namespace {

// Delivery is immediate: what reorders or drops datagrams is the caller's to simulate.
class MemoryDatagram final : public Datagram {
 public:
  using Deliver = std::function<void(Packet)>;
  MemoryDatagram(std::shared_ptr<Inbox> inbox, const SocketAddress& at, bool transparent,
                 Deliver deliver)
      : inbox_(std::move(inbox)),
        at_(at),
        transparent_(transparent),
        deliver_(std::move(deliver)) {}

  rt::Task<Result<Received>> receive(std::span<char> buffer) override {
    auto packet = co_await inbox_->packets.pop();
    if (!packet) co_return fail(Code::closed, "the socket is closed");
    std::copy_n(packet->bytes.data(), std::min(packet->bytes.size(), buffer.size()), buffer.data());
    co_return Received{.size = packet->bytes.size(), .from = packet->from, .to = packet->to};
  }
  Result<void> send(std::string_view bytes, const SocketAddress& to) override {
    deliver_({.bytes = std::string(bytes), .from = at_, .to = to});
    return {};
  }
  Result<void> answer(std::string_view bytes, const Received& received) override {
    deliver_({.bytes = std::string(bytes),
              .from = transparent_ ? received.to : at_,
              .to = received.from});
    return {};
  }
  SocketAddress local_address() const override { return at_; }

 private:
  std::shared_ptr<Inbox> inbox_;
  SocketAddress at_;
  bool transparent_;
  Deliver deliver_;
};

}  // namespace

Result<std::unique_ptr<Datagram>> MemoryNetwork::bind_datagram(const ListenOptions& options) {
  Place place{.name = name_of(options.in), .at = options.at};
  if (place.at.port == 0) place.at.port = state_->ephemeral_port();
  auto& slot = state_->inboxes[place];
  if (!slot.expired()) {
    return fail(Code::already_exists, place.at.to_string() + " is taken");
  }
  auto inbox = std::make_shared<Inbox>(state_->loop, options.peer);
  slot = inbox;
  if (options.transparent) state_->catchers[place.name] = inbox;
  auto deliver = [state = state_, name = place.name](Packet packet) {
    state->deliver(name, std::move(packet));
  };
  return std::unique_ptr<Datagram>(
      std::make_unique<MemoryDatagram>(inbox, place.at, options.transparent, std::move(deliver)));
}

rt::Task<Result<std::unique_ptr<Stream>>> MemoryNetwork::connect_unix(std::string path) {
  return connect({.to = {.ip = {}, .port = 1},
                  .from = std::nullopt,
                  .in = std::make_shared<Namespace>("unix:" + path, OwnedFd())});
}

Result<std::unique_ptr<Listener>> MemoryNetwork::listen_unix(const std::string& path) {
  return listen(
      {.at = {.ip = {}, .port = 1}, .in = std::make_shared<Namespace>("unix:" + path, OwnedFd())});
}

void MemoryNetwork::redirect(const std::string& name, const SocketAddress& to) {
  state_->redirects[name] = to;
}

void MemoryNetwork::kill(const IpAddress& ip) {
  state_->dead.insert(ip);
  const auto [first, last] = state_->connections.equal_range(ip);
  for (auto each = first; each != last; ++each) {
    if (const auto breaker = each->second.lock()) breaker->reset();
  }
  state_->connections.erase(first, last);
}

void MemoryNetwork::revive(const IpAddress& ip) { state_->dead.erase(ip); }

}  // namespace tulle::net
