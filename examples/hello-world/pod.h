// What both example programs need: a server that ends well, names, and a way to ask others.
#pragma once

#include "http/client.h"
#include "http/server.h"
#include "net/kernel_network.h"

#include <string>
#include <string_view>

namespace hello_world {

// The field that says which pod answered.
inline constexpr std::string_view kPodField = "X-Pod";

// One event loop on the kernel's network.
struct Program {
  explicit Program(tulle::rt::EpollDriver opened) : driver(std::move(opened)) {}

  tulle::rt::EpollDriver driver;
  tulle::rt::Loop loop{driver};
  tulle::net::KernelNetwork network{loop, driver};
};

// The host's name, which in Kubernetes is the pod's.
std::string pod_name();

// The response of this pod with a text.
tulle::rt::Task<void> answer(tulle::http::Exchange& exchange, int status, std::string_view text);

// Serves on all addresses until SIGTERM or SIGINT, then finishes what is in hand. The exit code.
int serve(Program& program, std::uint16_t port, tulle::http::Handler& handler);

// A client of the server that an http:// URL names, and the path in it. The name is looked up as
// /etc/resolv.conf says: its name servers, search domains and ndots.
struct Destination {
  std::unique_ptr<tulle::http::Client> client;
  std::string target;
};
tulle::rt::Task<tulle::Result<Destination>> open(Program& program, std::string url);

}  // namespace hello_world
