// One loop of the data plane: listens in the pods it was given and at the front door, and carries
// what comes.
#pragma once

#include "proxy/context.h"
#include "proxy/front_door.h"

#include <map>
#include <memory>
#include <string>

namespace tulle::proxy {

inline constexpr std::uint16_t kCapturePort = 15001;
// Beyond, a worker accepts nothing until a connection has ended.
inline constexpr std::size_t kConnectionsPerPodMax = 16 * 1024;
// Beyond, the session that has been silent longest ends for the next.
inline constexpr std::size_t kUdpSessionsPerPodMax = 4096;

class Worker final {
 public:
  struct Options {
    std::uint16_t capture_port = kCapturePort;
    FrontDoorOptions front_door = {};
    std::vector<std::string> explain_namespaces = {};  // beside the host
    http::ServerOptions server = {.half_closed_timeout = std::chrono::seconds(5),
                                  .websockets_over_http2 = true};
  };

  // All must outlive the worker, which belongs to `loop`: every member is called there.
  Worker(rt::Loop& loop, net::Network& network, Random random, Metrics& metrics, Options options);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Until then the front door is closed: what it leads to may not be known yet.
  void open_front_door();

  // From now on every decision is made over `snapshot`. What is under way goes on.
  void set_snapshot(mesh::SnapshotPtr snapshot);

  // Where upstream connections are made. Every worker gets all pods of the node.
  void set_pods(PodTablePtr pods) { upstreams_.set_pods(std::move(pods)); }

  // Closes the connections to this address that nothing is under way on.
  void close_idle(const IpAddress& address) { upstreams_.close_idle(address); }

  // Listens in the pod's network: when it returns, what the pod sends is caught. A pod is listened
  // for by one worker. Replaces an earlier pod of the same uid.
  Result<void> listen_in(std::shared_ptr<const Pod> pod);
  // Listens nowhere any more: another process does, on the same sockets. Connections end soon
  // (Acceptor::retire), sessions of UDP at once.
  void retire();
  // Of retired connections, ends those that wait for a request.
  void end_idle();
  std::size_t connections() const;

  // Stops listening there and drops the pod's own connections. Does nothing for strangers.
  void leave(const std::string& uid);

 private:
  struct Attached;

  rt::Loop& loop_;
  net::Network& network_;
  Random random_;
  const Options options_;
  Upstreams upstreams_;
  Certificates certificates_;
  Context context_;
  FrontDoor front_door_;
  bool front_door_open_ = false;
  bool retired_ = false;
  std::map<std::string, std::unique_ptr<Attached>> attached_;  // by uid
};

}  // namespace tulle::proxy
