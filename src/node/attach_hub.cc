#include "node/attach_hub.h"

#include "rt/combine.h"
#include "rt/sleep.h"

#include <algorithm>

namespace tulle::node {

namespace {

constexpr Duration kAcceptRetry = std::chrono::milliseconds(100);
// What a client that is slow may hold up the end of a container.
constexpr Duration kFinishTime = std::chrono::seconds(2);

rt::Task<void> write_output(http::WebSocket& socket, rt::Queue<std::string>& output) {
  for (;;) {
    const auto message = co_await output.pop();
    if (!message) break;
    if (!co_await socket.send_binary(*message)) co_return;
  }
  (void)co_await socket.close(codec::WebSocketClose::normal);
}

}  // namespace

struct AttachHub::Client {
  Client(rt::Loop& loop, std::unique_ptr<net::Stream> stream, Random& random)
      : web_socket(loop, std::move(stream), http::WebSocket::Role::server, random),
        output(loop, kAttachedMessagesMax),
        dropped(loop) {}

  http::WebSocket web_socket;
  rt::Queue<std::string> output;
  rt::Event dropped;
  bool has_input = false;
};

AttachHub::AttachHub(rt::Loop& loop, std::unique_ptr<net::Listener> listener, Options options)
    : loop_(loop),
      listener_(std::move(listener)),
      options_(std::move(options)),
      serving_(loop),
      accepting_(loop) {
  accepting_.spawn(accept_all());
}

rt::Task<void> AttachHub::accept_all() {
  for (;;) {
    auto stream = co_await listener_->accept();
    if (!stream) {
      co_await rt::sleep(loop_, kAcceptRetry);
      continue;
    }
    if (clients_.size() >= kAttachedMax) continue;
    clients_.push_back(std::make_shared<Client>(loop_, *std::move(stream), random_));
    serving_.spawn(serve(clients_.back()));
  }
}

rt::Task<void> AttachHub::serve(std::shared_ptr<Client> client) {
  co_await rt::race(converse(*client), client->dropped.wait());
  std::erase(clients_, client);
  client->output.close();
  if (client->has_input) end_input();
}

rt::Task<void> AttachHub::converse(Client& client) {
  co_await rt::race(read_input(client), write_output(client.web_socket, client.output));
}

rt::Task<void> AttachHub::read_input(Client& client) {
  for (;;) {
    const auto received = co_await client.web_socket.receive();
    if (!received) co_return;
    const auto message = parse_channel_message(received->payload);
    if (!message) continue;
    if (message->channel == Channel::input) {
      client.has_input = true;
      co_await write_input(message->bytes);
    }
    if (message->channel == Channel::resize && options_.terminal >= 0) {
      resize_terminal(options_.terminal, message->bytes);
    }
    if (ends_input(*message)) end_input();
  }
}

rt::Task<void> AttachHub::write_input(std::string_view bytes) {
  // Another client may end the input meanwhile.
  const std::shared_ptr<net::Stream> input = options_.input;
  if (!input || bytes.empty()) co_return;
  // A process that has closed its input does not end the session.
  if (!co_await net::write_all(*input, bytes)) options_.input.reset();
}

// A terminal has no end.
void AttachHub::end_input() {
  if (options_.input_once && options_.terminal < 0) options_.input.reset();
}

rt::Task<void> AttachHub::send(Channel channel, std::string_view bytes) {
  const std::string message = channel_message(channel, bytes);
  const auto attached = clients_;
  for (const auto& client : attached) {
    const auto sent = co_await rt::race(client->output.push(message),
                                        rt::until(loop_, loop_.now() + kAttachedPatience));
    if (sent.index() == 1) client->dropped.set();
  }
}

rt::Task<void> AttachHub::finish() {
  accepting_.cancel();
  for (const auto& client : clients_) client->output.close();
  co_await rt::race(serving_.idle(), rt::until(loop_, loop_.now() + kFinishTime));
}

}  // namespace tulle::node
