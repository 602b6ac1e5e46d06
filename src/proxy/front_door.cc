#include "proxy/front_door.h"

#include "base/log.h"
#include "mesh/tls_table.h"
#include "proxy/connection.h"
#include "proxy/health_door.h"
#include "rt/sleep.h"

#include <algorithm>

namespace tulle::proxy {

namespace {

constexpr Duration kRetry = std::chrono::seconds(1);

}  // namespace

std::vector<FrontDoor::Key> FrontDoor::wanted(const mesh::Snapshot& snapshot) const {
  std::vector<Key> keys;
  if (options_.ingress) keys.push_back({mesh::ListenerKind::ingress, *options_.ingress});
  if (options_.ingress_tls && !snapshot.tls()->empty()) {
    keys.push_back({mesh::ListenerKind::ingress, *options_.ingress_tls, true});
  }
  for (const mesh::Door& door : *snapshot.doors()) {
    Key key{.transport = door.transport};
    switch (door.kind) {
      case mesh::DoorKind::node_port:
      case mesh::DoorKind::health_check:
        key.kind = door.kind == mesh::DoorKind::node_port ? mesh::ListenerKind::node_port
                                                          : mesh::ListenerKind::health_check;
        for (const IpAddress& ip : options_.node_addresses) {
          key.at = {.ip = ip, .port = door.address.port};
          keys.push_back(key);
        }
        break;
      case mesh::DoorKind::load_balancer:
        key.kind = mesh::ListenerKind::load_balancer;
        key.at = door.address;
        keys.push_back(key);
        break;
    }
  }
  std::erase_if(keys, [this](const Key& key) {
    return hash_value(key.at) % options_.workers != options_.worker;
  });
  std::ranges::sort(keys);
  return keys;
}

void FrontDoor::follow(const mesh::Snapshot& snapshot) {
  const bool tls = !snapshot.tls()->empty();
  if (seen_ == snapshot.doors() && seen_tls_ == tls) return;
  seen_ = snapshot.doors();
  seen_tls_ = tls;
  wanted_ = wanted(snapshot);
  std::erase_if(closing_, [](const auto& acceptor) { return acceptor->connections() == 0; });
  for (auto door = open_.begin(); door != open_.end();) {
    if (std::ranges::binary_search(wanted_, door->first)) {
      ++door;
      continue;
    }
    door->second->close();
    closing_.push_back(std::move(door->second));
    door = open_.erase(door);
  }
  std::erase_if(
      udp_, [this](const auto& door) { return !std::ranges::binary_search(wanted_, door.first); });
  std::erase_if(complained_,
                [this](const Key& key) { return !std::ranges::binary_search(wanted_, key); });
  bool all_open = true;
  for (const Key& key : wanted_) all_open = (is_open(key) || open(key)) && all_open;
  if (!all_open && retry_.size() == 0) retry_.spawn(try_again());
}

void FrontDoor::retire() {
  retry_.cancel();
  udp_.clear();
  for (auto& [key, acceptor] : open_) closing_.push_back(std::move(acceptor));
  open_.clear();
  for (const auto& acceptor : closing_) acceptor->retire();
}

void FrontDoor::end_idle() {
  for (const auto& acceptor : closing_) acceptor->end_idle();
}

std::size_t FrontDoor::connections() const {
  std::size_t count = 0;
  for (const auto& acceptor : closing_) count += acceptor->connections();
  for (const auto& [key, acceptor] : open_) count += acceptor->connections();
  return count;
}

bool FrontDoor::open(const Key& key) {
  const bool tcp = key.transport == mesh::Transport::tcp;
  const auto opened = tcp ? open_tcp(key) : open_udp(key);
  if (opened) {
    complained_.erase(key);
    return true;
  }
  if (complained_.insert(key).second) {
    log::warn("a front door cannot be opened; it will be tried again",
              {{"for", std::string(mesh::to_string(key.kind))},
               {"at", key.at.to_string()},
               {"why", opened.error().message}});
  }
  return false;
}

Result<void> FrontDoor::open_tcp(const Key& key) {
  TRY(auto listener, network_.listen({.at = key.at}));
  auto acceptor =
      std::make_unique<Acceptor>(context_.loop, std::move(listener), options_.connections_max,
                                 context_.metrics.accept_failures());
  acceptor->start([this, key](std::unique_ptr<net::Stream> stream, http::IdleList& idle) {
    Downstream downstream{
        .listener = key.kind, .destination = key.at, .peer = stream->peer_address(), .idle = &idle};
    if (key.kind == mesh::ListenerKind::health_check) {
      return serve_health_check(context_, std::move(stream), std::move(downstream));
    }
    const ServeConnection serve = key.tls ? &serve_tls_connection : &serve_connection;
    return expects_proxy_header(key) ? serve_announced_connection(context_, std::move(stream),
                                                                  std::move(downstream), serve)
                                     : serve(context_, std::move(stream), std::move(downstream));
  });
  open_[key] = std::move(acceptor);
  return {};
}

bool FrontDoor::expects_proxy_header(const Key& key) const {
  if (key.kind == mesh::ListenerKind::ingress) return options_.ingress_proxy_protocol;
  const mesh::Decision decision =
      mesh::route(*context_.snapshot,
                  {.listener = key.kind, .transport = key.transport, .destination = key.at});
  return decision.service != nullptr && decision.service->the_policy().proxy_protocol.accept;
}

Result<void> FrontDoor::open_udp(const Key& key) {
  TRY(auto socket, network_.bind_datagram({.at = key.at}));
  udp_[key] = std::make_unique<UdpDoor>(context_, std::move(socket),
                                        Downstream{.listener = key.kind, .destination = key.at},
                                        options_.connections_max);
  return {};
}

rt::Task<void> FrontDoor::try_again() {
  for (bool all_open = false; !all_open;) {
    co_await rt::sleep(context_.loop, kRetry);
    all_open = true;
    for (const Key& key : wanted_) all_open = (is_open(key) || open(key)) && all_open;
  }
}

}  // namespace tulle::proxy
