// The agent's side of mesh/handover.h: keeps the proxy told of the pods of this node, over as many
// connections as that takes.
#pragma once

#include "base/address.h"
#include "base/result.h"
#include "mesh/handover.h"
#include "net/fd_channel.h"
#include "net/network.h"
#include "rt/scope.h"

#include <deque>
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
  void start() { scope_.spawn(run()); }

  // The pod is offered on this connection and on every one to come, until withdraw().
  void hold(HandedPod pod);
  // Until the proxy listens in the pod. Error: what the proxy said. REQUIRES: hold().
  rt::Task<Result<void>> accepted(std::string uid);
  // From now on the proxy sends new requests elsewhere if it can. Until nothing is under way to the
  // pod and nothing more will come, or the pod is withdrawn,
  // or there has been no proxy for two seconds.
  rt::Task<void> drained(std::string uid);
  // Until the proxy holds nothing of the pod any more, or has not answered for two seconds.
  rt::Task<void> withdraw(std::string uid);

 private:
  enum class Drain : std::uint8_t { none, asked, done };
  enum class State : std::uint8_t { offered, accepted, failed };
  struct Entry {
    HandedPod pod;
    State state = State::offered;
    Drain drain = Drain::none;
    std::string why = {};
  };

  rt::Task<void> run();
  rt::Task<Result<void>> receive_all(net::FdChannel& channel);
  rt::Task<Result<void>> send_all(net::FdChannel& channel);
  void take(const mesh::HandoverMessage& message);
  rt::Task<void> withdrawn(std::string uid);
  rt::Task<void> answer();
  Result<net::FdMessage> message_of(const mesh::HandoverMessage& message) const;

  rt::Loop& loop_;
  rt::EpollDriver& driver_;
  const std::string socket_path_;
  std::map<std::string, Entry> pods_;
  std::set<std::string> leaving_;  // withdrawn, not yet answered
  std::deque<mesh::HandoverMessage> outbox_;
  bool connected_ = false;
  rt::WaitList answered_;
  rt::WaitList more_;
  rt::Scope scope_;
};

}  // namespace tulle::node
