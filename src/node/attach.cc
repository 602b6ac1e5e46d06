// GET .../pods/NAME/attach as a WebSocket: what the container's shim and the client say to each
// other is handed on (attach_hub.h).
#include "base/format.h"
#include "kube/object.h"
#include "node/channels.h"
#include "node/short_directory.h"
#include "node/stream_request.h"
#include "rt/combine.h"

#include <boost/json.hpp>

namespace tulle::node {

namespace {

struct Wanted {
  bool input;
  bool output;
  bool errors;
};

bool is_wanted(const Wanted& wanted, const ChannelMessage& message) {
  switch (message.channel) {
    case Channel::input:
    case Channel::close: return wanted.input;
    case Channel::output: return wanted.output;
    case Channel::errors: return wanted.errors;
    case Channel::resize: return true;
    case Channel::status: return false;
  }
  return false;
}

// Until the one ends or the other does not take it.
rt::Task<void> hand_on(http::WebSocket& from, http::WebSocket& to, Wanted wanted) {
  for (;;) {
    const auto received = co_await from.receive();
    if (!received) co_return;
    const auto message = parse_channel_message(received->payload);
    if (!message || !is_wanted(wanted, *message)) continue;
    if (!co_await to.send_binary(received->payload)) co_return;
  }
}

rt::Task<Result<std::unique_ptr<net::Stream>>> connect_to_shim(Node& node, RunPlace place) {
  CO_TRY(const ShortDirectory bundle, ShortDirectory::open(place.bundle()));
  co_return co_await node.network.connect_unix(bundle.path("attach"));
}

}  // namespace

rt::Task<void> serve_attach(StreamRequest request, Random& random) {
  Node& node = request.node;
  const auto place = current_run(request);
  if (!place) co_return co_await send_failure(request.exchange, place.error());
  auto stream = co_await connect_to_shim(node, *place);
  if (!stream) {
    co_return co_await send_failure(
        request.exchange,
        kube::internal_error(fmt::format("container \"{}\" takes no clients: {}", place->container,
                                         stream.error().message)));
  }
  const auto client = co_await http::WebSocket::accept(node.loop, random, request.request,
                                                       request.exchange, kChannelProtocols);
  if (!client) co_return;
  http::WebSocket shim(node.loop, *std::move(stream), http::WebSocket::Role::client, random);
  const Wanted wanted{.input = flag_in(request.query, "stdin"),
                      .output = flag_in(request.query, "stdout"),
                      .errors = flag_in(request.query, "stderr")};
  if (wanted.input && !co_await shim.send_binary(channel_message(Channel::input, ""))) co_return;
  const auto first =
      co_await rt::race(hand_on(shim, **client, wanted), hand_on(**client, shim, wanted));
  if (first.index() == 0) co_await finish_channels(**client, channel_success());
}

}  // namespace tulle::node
