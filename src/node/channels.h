// The messages of exec and attach (v5.channel.k8s.io and v4): binary, the first byte is a channel.
#pragma once

#include "http/websocket.h"

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tulle::node {

inline constexpr std::string_view kChannelProtocols[] = {"v5.channel.k8s.io", "v4.channel.k8s.io"};

enum class Channel : std::uint8_t {
  input = 0,
  output = 1,
  errors = 2,
  status = 3,   // the last message: a Status
  resize = 4,   // {"Width":80,"Height":25}
  close = 255,  // v5: the end of the channel that the second byte names
};

// An empty message is none.
struct ChannelMessage {
  Channel channel = Channel::input;
  std::string_view bytes = {};
};
std::optional<ChannelMessage> parse_channel_message(std::string_view message);
std::string channel_message(Channel channel, std::string_view bytes);

// Whether the message ends the client's input.
bool ends_input(const ChannelMessage& message);

// Sets the size that a message of Channel::resize tells; one that tells none does nothing.
void resize_terminal(int terminal, std::string_view size);

// Sends the Status and closes.
rt::Task<void> finish_channels(http::WebSocket& socket, boost::json::object status);

// The Status of what ended well.
boost::json::object channel_success();

}  // namespace tulle::node
