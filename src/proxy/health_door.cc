#include "proxy/health_door.h"

#include "base/format.h"

#include <set>

namespace tulle::proxy {

namespace {

constexpr int kServiceUnavailable = 503;

// Pods of this node that take requests, and are not about to stop.
std::size_t local_endpoints(const mesh::Service& service) {
  std::set<IpAddress> addresses;
  for (const mesh::ServicePort& port : service.ports) {
    for (const mesh::Endpoint& endpoint : port.endpoints) {
      const bool stays = endpoint.state->drain.load(std::memory_order_relaxed) == mesh::Drain::none;
      if (endpoint.local && endpoint.health == mesh::Health::ready && stays) {
        addresses.insert(endpoint.address.ip);
      }
    }
  }
  return addresses.size();
}

class HealthAnswer final : public http::Handler {
 public:
  HealthAnswer(Context& context, const SocketAddress& door) : context_(context), door_(door) {}

  // Whatever is asked: load balancers differ in the path.
  rt::Task<void> handle(http::Request&, http::Exchange& exchange) override {
    codec::ResponseHead head;
    const std::string body = answer(head);
    static_cast<void>(co_await exchange.send(head, body));
  }

 private:
  std::string answer(codec::ResponseHead& head) const {
    const mesh::Snapshot& snapshot = *context_.snapshot;
    const mesh::Door* door =
        snapshot.door(mesh::DoorKind::health_check, mesh::Transport::tcp, door_);
    const mesh::Service* service = door == nullptr ? nullptr : snapshot.service(door->service);
    const std::size_t count = service == nullptr ? 0 : local_endpoints(*service);
    if (count == 0) head.status = kServiceUnavailable;
    head.headers.append("Content-Type", "application/json");
    head.headers.append("X-Content-Type-Options", "nosniff");
    head.headers.append("X-Load-Balancing-Endpoint-Weight", std::to_string(count));
    const mesh::ObjectName name = service == nullptr ? mesh::ObjectName() : service->name;
    // Names of objects need no escapes.
    return fmt::format(
        "{{\n\t\"service\": {{\n\t\t\"namespace\": \"{}\",\n\t\t\"name\": \"{}\"\n\t}},\n"
        "\t\"localEndpoints\": {},\n\t\"serviceProxyHealthy\": true\n}}",
        name.namespace_name, name.name, count);
  }

  Context& context_;
  const SocketAddress door_;
};

}  // namespace

rt::Task<void> serve_health_check(Context& context, std::unique_ptr<net::Stream> stream,
                                  Downstream downstream) {
  HealthAnswer handler(context, downstream.destination);
  co_await http::serve_connection(
      context.loop, std::move(stream), handler, context.server_options,
      {.local = downstream.destination, .peer = downstream.peer, .idle = downstream.idle});
}

}  // namespace tulle::proxy
