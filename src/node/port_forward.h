// `kubectl port-forward`: connections of a client, opened anew from inside a pod.
//
// Each is a pair of SPDY streams, with the headers streamtype (data or error), port and requestid,
// which pairs them. The data stream carries the bytes of both directions. The error stream carries
// at most one message, why the connection could not be made, and ends with the connection.
#pragma once

#include "codec/spdy.h"
#include "net/network.h"
#include "node/spdy_transport.h"
#include "rt/scope.h"
#include "rt/sync.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace tulle::node {

// Of one session, two for each connection. Beyond, streams are refused.
inline constexpr std::size_t kForwardStreamsMax = 512;

class PortForwardSession final {
 public:
  struct Target {
    net::NamespacePtr space;  // where 127.0.0.1 is the pod's
    std::string pod;          // for messages
  };

  // `loop` and `network` must outlive it.
  PortForwardSession(rt::Loop& loop, net::Network& network, Target target,
                     std::unique_ptr<SpdyTransport> transport);

  // Until the client goes or breaks the protocol. Connections end with the session.
  rt::Task<void> run();

 private:
  struct Forward;

  rt::Task<void> read_frames();
  rt::Task<void> write_frames();
  // False ends the session.
  rt::Task<bool> take(const codec::SpdyEvent& event);
  rt::Task<void> open(const codec::SpdyEvent& event);
  rt::Task<void> refuse(std::uint32_t stream, codec::SpdyReset why);
  rt::Task<void> take_data(const codec::SpdyEvent& event);
  rt::Task<void> carry(std::shared_ptr<Forward> forward);
  rt::Task<Result<void>> connect_and_copy(Forward& forward);
  rt::Task<void> send_data(std::uint32_t stream, std::string_view bytes, bool fin);

  rt::Loop& loop_;
  net::Network& network_;
  const Target target_;
  std::unique_ptr<SpdyTransport> transport_;
  codec::SpdyDecoder decoder_;
  codec::SpdyEncoder encoder_;
  rt::Queue<std::string> out_;                                 // whole frames
  std::map<std::uint32_t, std::shared_ptr<Forward>> streams_;  // of forwards that are not over
  std::map<std::string, std::shared_ptr<Forward>> halves_;  // by request: one stream is not there
  rt::Scope forwards_;
};

}  // namespace tulle::node
