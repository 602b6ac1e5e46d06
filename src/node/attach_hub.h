// Who is attached to a container's first process, inside its shim.
//
// Clients connect to a Unix socket and speak the messages of channels.h, in WebSocket frames
// without a handshake; the client's role is the client's. What a client sends on the input channel
// goes to the process, an empty message too says that it has an input. The hub closes the WebSocket
// when the process has ended and the client has all that it wrote.
#pragma once

#include "base/owned_fd.h"
#include "base/random.h"
#include "base/time.h"
#include "net/network.h"
#include "node/channels.h"
#include "rt/scope.h"

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

namespace tulle::node {

// Beyond, who connects is hung up on.
inline constexpr std::size_t kAttachedMax = 16;
// What waits for a client at most, each of at most what the container wrote at once.
inline constexpr std::size_t kAttachedMessagesMax = 16;
// How long the process is held up for the sake of a client that does not read; then it is dropped.
inline constexpr Duration kAttachedPatience = std::chrono::seconds(5);

class AttachHub final {
 public:
  struct Options {
    std::shared_ptr<net::Stream> input = nullptr;  // of the process; null: it has none
    bool input_once = false;  // the input ends with that of the first client that has one
    int terminal = -1;        // of the process, to set its size; must outlive the hub
  };

  // `loop` must outlive it.
  AttachHub(rt::Loop& loop, std::unique_ptr<net::Listener> listener, Options options);

  // To everyone who is attached now. Waits for who is slow.
  rt::Task<void> send(Channel channel, std::string_view bytes);

  // Takes no more clients, and lets go of those there are when they have everything, or soon.
  rt::Task<void> finish();

 private:
  struct Client;

  rt::Task<void> accept_all();
  rt::Task<void> serve(std::shared_ptr<Client> client);
  rt::Task<void> converse(Client& client);
  rt::Task<void> read_input(Client& client);
  rt::Task<void> write_input(std::string_view bytes);
  void end_input();

  rt::Loop& loop_;
  std::unique_ptr<net::Listener> listener_;
  Options options_;
  Random random_{1};  // of masks, which a server has none of
  std::vector<std::shared_ptr<Client>> clients_;
  rt::Scope serving_;
  rt::Scope accepting_;
};

}  // namespace tulle::node
