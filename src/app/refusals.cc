#include "app/refusals.h"

#include "base/format.h"
#include "base/log.h"
#include "net/kernel_network.h"
#include "node/nftables.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace tulle::app {

namespace {

using Ports = std::vector<mesh::UnservedPort>;

// "{ tcp . 10.96.0.7 . 80, ... }"
std::string set_of(const Ports& ports) {
  std::string text = "{ ";
  for (const mesh::UnservedPort& port : ports) {
    fmt::format_to(std::back_inserter(text), "{} . {} . {}, ",
                   port.transport == mesh::Transport::tcp ? "tcp" : "udp",
                   port.address.ip.to_string(), port.address.port);
  }
  return text + "}";
}

// Makes the table anew, whatever was there: an earlier proxy may have left its own. Only what
// begins is refused: a stream that is under way outlives the endpoints of its service.
std::string whole_table(const Ports& refused) {
  return fmt::format(
      "add table inet tulle_refused\n"
      "delete table inet tulle_refused\n"
      "table inet tulle_refused {{\n"
      "  set ports {{\n"
      "    type inet_proto . ipv4_addr . inet_service\n"
      "    {}\n"
      "  }}\n"
      "  chain output {{\n"
      "    type filter hook output priority -150; policy accept;\n"
      "    tcp flags & (syn | ack) == syn meta l4proto . ip daddr . tcp dport @ports"
      " reject with tcp reset\n"
      "    meta l4proto udp meta l4proto . ip daddr . udp dport @ports reject\n"
      "  }}\n"
      "}}\n",
      refused.empty() ? "" : "elements = " + set_of(refused));
}

std::string changes(const Ports& before, const Ports& after) {
  Ports added;
  Ports removed;
  std::ranges::set_difference(after, before, std::back_inserter(added));
  std::ranges::set_difference(before, after, std::back_inserter(removed));
  std::string commands;
  if (!removed.empty()) {
    commands += "delete element inet tulle_refused ports " + set_of(removed) + "\n";
  }
  if (!added.empty()) commands += "add element inet tulle_refused ports " + set_of(added) + "\n";
  return commands;
}

Result<void> run_in(const net::NamespacePtr& space, const std::string& commands) {
  const auto outcome = net::in_namespace(space, [&]() -> Result<OwnedFd> {
    TRY_VOID(node::run_nft(commands));
    return OwnedFd();
  });
  if (!outcome) return outcome.error();
  return {};
}

void make_table(const net::NamespacePtr& space, const Ports& refused) {
  const auto outcome = run_in(space, whole_table(refused));
  if (outcome) return;
  log::warn("a pod's connections to services without endpoints are not refused, but closed",
            {{"pod", space->name}, {"why", outcome.error().message}});
}

}  // namespace

void Refusals::follow(const mesh::Snapshot& snapshot) {
  if (retired_ || snapshot.unserved() == followed_) return;
  followed_ = snapshot.unserved();
  Ports wanted;
  std::ranges::copy_if(*followed_, std::back_inserter(wanted), [&](const auto& port) {
    return port.address.ip.is_v4() && port.address.ip != dns_;
  });
  const auto repeated = std::ranges::unique(wanted);
  wanted.erase(repeated.begin(), repeated.end());
  std::string commands = changes(*refused_, wanted);
  refused_ = std::make_shared<const Ports>(std::move(wanted));
  if (commands.empty()) return;
  std::vector<net::NamespacePtr> spaces;
  spaces.reserve(pods_.size());
  for (const auto& [uid, space] : pods_) spaces.push_back(space);
  thread_.submit(
      [spaces = std::move(spaces), commands = std::move(commands), refused = refused_] {
        for (const net::NamespacePtr& space : spaces) {
          // What is not as it was left is made anew.
          if (!run_in(space, commands)) make_table(space, *refused);
        }
      },
      [] {});
}

void Refusals::attach(const proxy::Pod& pod) {
  if (retired_) return;
  pods_[pod.uid] = pod.space;
  thread_.submit([space = pod.space, refused = refused_] { make_table(space, *refused); }, [] {});
}

void Refusals::pass(std::function<void()> done) {
  thread_.submit([] {}, std::move(done));
}

}  // namespace tulle::app
