#include "node/channels.h"

#include "codec/json.h"
#include "kube/object.h"

#include <boost/json.hpp>

#include <sys/ioctl.h>

namespace tulle::node {

namespace json = boost::json;

std::optional<ChannelMessage> parse_channel_message(std::string_view message) {
  if (message.empty()) return std::nullopt;
  return ChannelMessage{.channel = Channel{static_cast<std::uint8_t>(message[0])},
                        .bytes = message.substr(1)};
}

std::string channel_message(Channel channel, std::string_view bytes) {
  std::string message(1, static_cast<char>(channel));
  return message.append(bytes);
}

bool ends_input(const ChannelMessage& message) {
  return message.channel == Channel::close &&
         message.bytes.starts_with(static_cast<char>(Channel::input));
}

void resize_terminal(int terminal, std::string_view size) {
  const auto parsed = codec::parse_json(size);
  if (!parsed) return;
  const json::object& document = kube::object_or_empty(*parsed);
  const auto dimension = [&document](std::string_view name) {
    return static_cast<unsigned short>(kube::integer_at(document, name));
  };
  const winsize window{
      .ws_row = dimension("Height"), .ws_col = dimension("Width"), .ws_xpixel = 0, .ws_ypixel = 0};
  if (window.ws_row > 0 && window.ws_col > 0) ::ioctl(terminal, TIOCSWINSZ, &window);
}

rt::Task<void> finish_channels(http::WebSocket& socket, json::object status) {
  const std::string message = channel_message(Channel::status, codec::to_json(status));
  if (!co_await socket.send_binary(message)) co_return;
  (void)co_await socket.close(codec::WebSocketClose::normal);
}

json::object channel_success() { return {{"metadata", json::object()}, {"status", "Success"}}; }

}  // namespace tulle::node
