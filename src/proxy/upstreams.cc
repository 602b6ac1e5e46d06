#include "proxy/upstreams.h"

#include "rt/combine.h"

namespace tulle::proxy {

void Upstreams::set_pods(PodTablePtr pods) {
  const PodTablePtr before = std::exchange(pods_, std::move(pods));
  const auto gone = [&before, this](const UpstreamKey& key) {
    const auto was = before->find(key.endpoint.ip);
    if (was == before->end()) return false;
    const auto is = pods_->find(key.endpoint.ip);
    return is == pods_->end() || is->second->uid != was->second->uid;
  };
  idle_.drop_if(gone);
}

rt::Task<Result<std::unique_ptr<net::Stream>>> Upstreams::connect(SocketAddress to,
                                                                  IpAddress caller,
                                                                  const mesh::Networks& networks) {
  net::ConnectOptions options{.to = to};
  const auto pod = pods_->find(to.ip);
  if (pod != pods_->end()) {
    options.in = pod->second->space;
    if (!caller.is_unspecified()) options.from = SocketAddress{.ip = caller, .port = 0};
  } else if (networks.pods.contains(to.ip) || networks.services.contains(to.ip)) {
    co_return fail(Code::refused, "no pod of this node has the address " + to.ip.to_string());
  }
  co_return co_await rt::with_deadline(loop_, loop_.now() + kConnectTimeout,
                                       network_.connect(std::move(options)));
}

}  // namespace tulle::proxy
