#include "app/refusals.h"

#include "base/format.h"
#include "base/log.h"
#include "net/kernel_network.h"

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

}  // namespace

std::shared_ptr<const Ports> Refusals::Wanted::get() const {
  const std::lock_guard lock(mutex_);
  return ports_;
}

void Refusals::Wanted::set(std::shared_ptr<const Ports> ports) {
  const std::lock_guard lock(mutex_);
  ports_ = std::move(ports);
}

Result<void> Refusals::Rules::run(const std::string& commands) {
  const auto outcome = net::in_namespace(space, [&]() -> Result<OwnedFd> {
    if (!kernel) kernel.emplace();
    TRY_VOID(kernel->run(commands));
    return OwnedFd();
  });
  if (!outcome) return outcome.error();
  return {};
}

// What is not as it was left is made anew.
void Refusals::bring_up_to_date(Rules& rules, const Wanted& wanted) {
  auto ports = wanted.get();
  if (rules.made == ports) return;
  const bool changed = rules.made && rules.run(changes(*rules.made, *ports));
  if (!changed) {
    if (const auto outcome = rules.run(whole_table(*ports)); !outcome) {
      log::warn("a pod's connections to services without endpoints are not refused, but closed",
                {{"pod", rules.space->name}, {"why", outcome.error().message}});
    }
  }
  rules.made = std::move(ports);
}

void Refusals::follow(const mesh::Snapshot& snapshot) {
  if (retired_ || snapshot.unserved() == followed_) return;
  followed_ = snapshot.unserved();
  Ports ports;
  std::ranges::copy_if(*followed_, std::back_inserter(ports), [&](const auto& port) {
    return port.address.ip.is_v4() && port.address.ip != dns_;
  });
  const auto repeated = std::ranges::unique(ports);
  ports.erase(repeated.begin(), repeated.end());
  if (ports == *wanted_->get()) return;
  wanted_->set(std::make_shared<const Ports>(std::move(ports)));
  std::vector<std::shared_ptr<Rules>> all;
  all.reserve(pods_.size());
  for (const auto& [uid, rules] : pods_) all.push_back(rules);
  thread_.submit(
      [all = std::move(all), wanted = wanted_] {
        for (const auto& rules : all) bring_up_to_date(*rules, *wanted);
      },
      [] {});
}

void Refusals::attach(const proxy::Pod& pod) {
  if (retired_) return;
  const auto rules = std::make_shared<Rules>(pod.space);
  pods_[pod.uid] = rules;
  thread_.submit([rules, wanted = wanted_] { bring_up_to_date(*rules, *wanted); }, [] {});
}

// The conversation with the kernel ends on the thread: that may take its time.
void Refusals::detach(const std::string& uid) {
  auto rules = pods_.extract(uid);
  if (rules.empty()) return;
  thread_.submit([rules = std::move(rules.mapped())]() mutable { rules.reset(); }, [] {});
}

void Refusals::pass(std::function<void()> done) {
  thread_.submit([] {}, std::move(done));
}

}  // namespace tulle::app
