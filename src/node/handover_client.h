// The agent's side of mesh/handover.h: keeps the proxy told of the pods of this node, over as many
// connections as that takes.
#pragma once

#include "base/address.h"
#include "base/result.h"
#include "mesh/handover.h"
#include "net/fd_channel.h"
#include "net/network.h"
#include "rt/scope.h"

#include <map>
#include <memory>
#include <set>
#include <string>

namespace tulle::node {

struct HandedPod {
  std::string uid;
  mesh::ObjectName name;
  IpAddress address;
  net::NamespacePtr space;
};

class HandoverClient final {
 public:
  HandoverClient(rt::Loop& loop, rt::EpollDriver& driver, std::string socket_path)
      : loop_(loop), driver_(driver), socket_path_(std::move(socket_path)), scope_(loop) {}

  // Connects, and again whenever the connection breaks. The proxy drops pods that are not held by
  // then: hold() what runs already before.
  void start();

  // The pod is offered on this connection and on every one to come, until withdraw().
  void hold(HandedPod pod);
  // Until the proxy listens in the pod. Error: what the proxy said. REQUIRES: hold().
  rt::Task<Result<void>> accepted(std::string uid);
  // From now on the proxy sends new requests elsewhere if it can. Until nothing is under way to the
  // pod and nothing more will come, in a proxy that was replaced neither, or the pod is withdrawn,
  // or there has been no proxy for two seconds.
  rt::Task<void> drained(std::string uid);
  // Until the proxy holds nothing of the pod any more, or has not answered for two seconds.
  rt::Task<void> withdraw(std::string uid);

 private:
  enum class State : std::uint8_t { offered, accepted, failed };
  struct Entry {
    HandedPod pod;
    State state = State::offered;
    bool draining = false;
    std::string why = {};
  };
  struct Link;
  using LinkPtr = std::shared_ptr<Link>;

  rt::Task<void> run();
  void find_replaced();
  void start_over(Link& link);
  void drain_again(Link& link);
  rt::Task<void> serve(LinkPtr link);
  rt::Task<Result<void>> receive_all(Link& link);
  rt::Task<Result<void>> send_all(Link& link);
  void take(Link& link, const mesh::HandoverMessage& message);
  void ask(Link& link, mesh::HandoverMessage message);
  rt::Task<void> withdrawn(std::string uid);
  rt::Task<void> answer();
  Result<net::FdMessage> message_of(const mesh::HandoverMessage& message) const;

  rt::Loop& loop_;
  rt::EpollDriver& driver_;
  const std::string socket_path_;
  std::map<std::string, Entry> pods_;
  LinkPtr current_;          // to the proxy that takes pods; null: there is none now
  std::set<LinkPtr> links_;  // and to those that were replaced, until they end
  rt::WaitList answered_;
  rt::Scope scope_;
};

}  // namespace tulle::node
