#include "proxy/worker.h"

#include "base/log.h"
#include "proxy/accept.h"
#include "proxy/connection.h"
#include "proxy/udp.h"

namespace tulle::proxy {

struct Worker::Attached {
  Attached(Context& context, std::shared_ptr<const Pod> which,
           std::unique_ptr<net::Listener> listening, std::unique_ptr<net::Datagram> catching)
      : pod(std::move(which)),
        acceptor(context.loop, std::move(listening), kConnectionsPerPodMax,
                 context.metrics.accept_failures()),
        datagrams(std::make_unique<UdpDoor>(context, std::move(catching), downstream(),
                                            kUdpSessionsPerPodMax)) {}

  Downstream downstream() const {
    return {.listener = mesh::ListenerKind::capture,
            .workload_address = pod->address,
            .workload = pod->name.to_string()};
  }

  std::shared_ptr<const Pod> pod;
  Acceptor acceptor;
  std::unique_ptr<UdpDoor> datagrams;
};

Worker::Worker(rt::Loop& loop, net::Network& network, Random random, Metrics& metrics,
               Options options)
    : loop_(loop),
      network_(network),
      random_(random),
      options_(std::move(options)),
      upstreams_(loop, network),
      context_{.loop = loop_,
               .upstreams = upstreams_,
               .random = random_,
               .metrics = metrics,
               .certificates = certificates_,
               .server_options = options_.server,
               .explain_namespaces = options_.explain_namespaces,
               .snapshot = mesh::SnapshotBuilder().build()},
      front_door_(context_, network, options_.front_door) {}

Worker::~Worker() = default;

void Worker::set_snapshot(mesh::SnapshotPtr snapshot) {
  const bool other_certificates = context_.snapshot->tls() != snapshot->tls();
  context_.snapshot = std::move(snapshot);
  if (other_certificates) certificates_.forget_unused();
  if (front_door_open_) front_door_.follow(*context_.snapshot);
}

void Worker::open_front_door() {
  if (retired_) return;
  front_door_open_ = true;
  front_door_.follow(*context_.snapshot);
}

Result<void> Worker::listen_in(std::shared_ptr<const Pod> pod) {
  if (retired_) return fail(Code::unavailable, "another proxy takes over");
  leave(pod->uid);
  constexpr IpAddress kLoopback = IpAddress::v4(127, 0, 0, 1);
  const SocketAddress capture{.ip = kLoopback, .port = options_.capture_port};
  TRY(auto listener, network_.listen({.at = capture, .in = pod->space}));
  TRY(auto datagrams,
      network_.bind_datagram({.at = capture, .transparent = true, .in = pod->space}));
  auto attached =
      std::make_unique<Attached>(context_, pod, std::move(listener), std::move(datagrams));
  attached->acceptor.start(
      [this, &from = *attached](std::unique_ptr<net::Stream> stream, http::IdleList& idle) {
        Downstream downstream = from.downstream();
        downstream.destination = stream->original_destination();
        downstream.peer = stream->peer_address();
        downstream.idle = &idle;
        return serve_connection(context_, std::move(stream), std::move(downstream));
      });
  attached_[pod->uid] = std::move(attached);
  return {};
}

void Worker::retire() {
  retired_ = true;
  front_door_open_ = false;
  front_door_.retire();
  for (const auto& [uid, attached] : attached_) {
    attached->acceptor.retire();
    attached->datagrams.reset();
  }
}

void Worker::end_idle() {
  front_door_.end_idle();
  for (const auto& [uid, attached] : attached_) attached->acceptor.end_idle();
}

std::size_t Worker::connections() const {
  std::size_t count = front_door_.connections();
  for (const auto& [uid, attached] : attached_) count += attached->acceptor.connections();
  return count;
}

void Worker::leave(const std::string& uid) { attached_.erase(uid); }

}  // namespace tulle::proxy
