#include "node/port_forward.h"

#include "base/format.h"
#include "kube/object.h"
#include "node/pod_context.h"
#include "node/stream_request.h"
#include "rt/combine.h"

#include <array>
#include <charconv>

namespace tulle::node {

namespace {

using codec::SpdyEvent;
using codec::SpdyReset;

constexpr Duration kConnectTimeout = std::chrono::seconds(30);
constexpr std::size_t kReadBytes = 32 * 1024;
// What waits for the client, and of each connection for the pod. A full queue stops the reading.
constexpr std::size_t kFramesMax = 16;
constexpr std::size_t kPiecesMax = 4;

// 0: none.
std::uint16_t port_in(const codec::Headers& headers) {
  const std::string_view text = headers.get("port").value_or("");
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() ? port : 0;
}

}  // namespace

struct PortForwardSession::Forward {
  explicit Forward(rt::Loop& loop) : input(loop, kPiecesMax), cancelled(loop) {}

  std::uint16_t port = 0;
  std::uint32_t data_stream = 0;
  std::uint32_t error_stream = 0;
  rt::Queue<std::string> input;  // from the client; closed at its end
  rt::Event cancelled;           // the client has reset a stream
};

namespace {

// The client's direction; ends when it does, and the pod is told so.
rt::Task<void> copy_input(rt::Queue<std::string>& input, net::Stream& to) {
  for (;;) {
    const auto piece = co_await input.pop();
    if (!piece) break;
    if (co_await net::write_all(to, *piece)) continue;
    // The pod's program reads no more; what it still writes is read.
    input.close();
    co_return;
  }
  (void)to.shutdown_write();
}

}  // namespace

PortForwardSession::PortForwardSession(rt::Loop& loop, net::Network& network, Target target,
                                       std::unique_ptr<SpdyTransport> transport)
    : loop_(loop),
      network_(network),
      target_(std::move(target)),
      transport_(std::move(transport)),
      out_(loop, kFramesMax),
      forwards_(loop) {}

rt::Task<void> PortForwardSession::run() {
  co_await rt::race(read_frames(), write_frames());
  forwards_.cancel();
}

rt::Task<void> PortForwardSession::write_frames() {
  for (;;) {
    const auto frames = co_await out_.pop();
    if (!frames || !co_await transport_->send(*frames)) co_return;
  }
}

rt::Task<void> PortForwardSession::read_frames() {
  for (;;) {
    const auto received = co_await transport_->receive();
    if (!received) co_return;
    for (std::string_view bytes = *received;;) {
      const auto [consumed, event] = decoder_.decode(bytes);
      bytes.remove_prefix(consumed);
      if (event.kind == SpdyEvent::Kind::none) break;
      if (!co_await take(event)) co_return;
    }
  }
}

rt::Task<bool> PortForwardSession::take(const SpdyEvent& event) {
  switch (event.kind) {
    case SpdyEvent::Kind::open: co_await open(event); break;
    case SpdyEvent::Kind::data: co_await take_data(event); break;
    case SpdyEvent::Kind::reset:
      if (const auto known = streams_.find(event.id); known != streams_.end()) {
        known->second->cancelled.set();
      }
      break;
    case SpdyEvent::Kind::ping: {
      std::string frame;
      codec::append_spdy_ping(frame, event.id);
      co_await out_.push(std::move(frame));
      break;
    }
    case SpdyEvent::Kind::reply:
    case SpdyEvent::Kind::none: break;
    case SpdyEvent::Kind::error: co_return false;
  }
  co_return true;
}

rt::Task<void> PortForwardSession::open(const SpdyEvent& event) {
  const std::string_view type = event.headers.get("streamtype").value_or("");
  const std::string request(event.headers.get("requestid").value_or(""));
  const std::uint16_t port = port_in(event.headers);
  const bool known = type == "data" || type == "error";
  if (!known || request.empty() || port == 0 || streams_.contains(event.id)) {
    co_return co_await refuse(event.id, SpdyReset::protocol_error);
  }
  if (streams_.size() >= kForwardStreamsMax) {
    co_return co_await refuse(event.id, SpdyReset::refused_stream);
  }
  auto& half = halves_[request];
  if (!half) half = std::make_shared<Forward>(loop_);
  const std::shared_ptr<Forward> forward = half;
  std::uint32_t& stream = type == "data" ? forward->data_stream : forward->error_stream;
  if (stream != 0) co_return co_await refuse(event.id, SpdyReset::protocol_error);
  stream = event.id;
  forward->port = port;
  if (event.fin && type == "data") forward->input.close();
  streams_.emplace(event.id, forward);
  std::string reply;
  encoder_.append_reply(reply, event.id, {});
  co_await out_.push(std::move(reply));
  if (forward->data_stream == 0 || forward->error_stream == 0) co_return;
  halves_.erase(request);
  forwards_.spawn(carry(forward));
}

rt::Task<void> PortForwardSession::refuse(std::uint32_t stream, SpdyReset why) {
  std::string frame;
  codec::append_spdy_reset(frame, stream, why);
  co_await out_.push(std::move(frame));
}

// What comes behind the end of a forward is dropped.
rt::Task<void> PortForwardSession::take_data(const SpdyEvent& event) {
  const auto known = streams_.find(event.id);
  if (known == streams_.end() || known->second->data_stream != event.id) co_return;
  const std::shared_ptr<Forward> forward = known->second;
  // Nobody would take it.
  if (forward->error_stream == 0) co_return co_await refuse(event.id, SpdyReset::protocol_error);
  if (!event.data.empty()) co_await forward->input.push(std::string(event.data));
  if (event.fin) forward->input.close();
}

rt::Task<void> PortForwardSession::carry(std::shared_ptr<Forward> forward) {
  const auto outcome = co_await rt::race(connect_and_copy(*forward), forward->cancelled.wait());
  forward->input.close();
  streams_.erase(forward->data_stream);
  streams_.erase(forward->error_stream);
  std::string failure;
  if (outcome.index() == 0 && !std::get<0>(outcome)) {
    failure = fmt::format("error forwarding port {} to pod {}: {}", forward->port, target_.pod,
                          std::get<0>(outcome).error().message);
  }
  if (outcome.index() == 0) co_await send_data(forward->data_stream, "", true);
  co_await send_data(forward->error_stream, failure, true);
}

// Until the pod's direction has ended. Error: why there is no connection.
rt::Task<Result<void>> PortForwardSession::connect_and_copy(Forward& forward) {
  CO_TRY(const auto stream,
         co_await rt::with_deadline(
             loop_, loop_.now() + kConnectTimeout,
             network_.connect({.to = {.ip = IpAddress::v4(127, 0, 0, 1), .port = forward.port},
                               .in = target_.space})));
  rt::Scope input(loop_);
  input.spawn(copy_input(forward.input, *stream));
  std::array<char, kReadBytes> buffer;
  for (;;) {
    const auto count = co_await net::read(*stream, buffer);
    if (!count || *count == 0) co_return Result<void>();
    co_await send_data(forward.data_stream, {buffer.data(), *count}, false);
  }
}

rt::Task<void> PortForwardSession::send_data(std::uint32_t stream, std::string_view bytes,
                                             bool fin) {
  std::string frame;
  codec::append_spdy_data(frame, stream, bytes, fin);
  co_await out_.push(std::move(frame));
}

rt::Task<void> serve_port_forward(StreamRequest request, Random& random) {
  const PodPlace place = place_of(request.node, *request.pod);
  auto space = net::open_namespace(place.network(), place.namespace_ + "/" + place.name);
  if (!space) {
    co_return co_await send_failure(
        request.exchange, kube::bad_request(fmt::format("pod {} is not running", place.name)));
  }
  Node& node = request.node;
  auto transport = co_await accept_spdy(node.loop, random, request.request, request.exchange,
                                        {.websocket_protocol = "SPDY/3.1+portforward.k8s.io",
                                         .stream_protocol = "portforward.k8s.io"});
  if (!transport) co_return;
  PortForwardSession session(node.loop, node.network,
                             {.space = *std::move(space), .pod = place.name},
                             *std::move(transport));
  co_await session.run();
}

}  // namespace tulle::node
