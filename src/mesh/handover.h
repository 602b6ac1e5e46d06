// How the node agent hands pods to the proxy: the only thing that control and proxy share.
//
// Messages over a net::FdChannel (a Unix socket at <data-dir>/run/proxy.sock, where the proxy
// listens). One JSON text each. The agent connects, offers every pod of the node, says `synced`,
// and from then on offers and withdraws pods as they come and go. The proxy answers each offer and
// withdrawal. Before a pod is told to stop the agent asks to drain it, and waits for the answer or
// the end of the pod's grace period. A proxy that is replaced says `retired`, and the agent offers
// everything to the next one; on the old connection it still drains and withdraws. It listens on at
// <data-dir>/run/proxy.sock.retired.PID, for an agent that comes later. When the connection breaks,
// the proxy keeps what it has; the agent connects again and starts over, and pods not offered
// before its `synced` are dropped then.
#pragma once

#include "base/address.h"
#include "base/result.h"
#include "mesh/object_name.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace tulle::mesh {

// What the socket of a replaced proxy is called beyond its first name, but for the process's
// number.
inline constexpr std::string_view kRetiredSocket = ".retired.";

enum class HandoverType : std::uint8_t {
  // agent to proxy
  offer,     // all fields but message; one descriptor comes along: the network namespace
  withdraw,  // uid
  synced,    // nothing
  drain,     // uid: new requests go elsewhere if they can
  // proxy to agent
  accepted,   // uid: the proxy listens in this pod's namespace
  withdrawn,  // uid: it holds nothing of this pod any more
  drained,    // uid: nothing is under way there, and nothing more will come
  failed,     // uid and message: an offer that could not be accepted
  retired,    // nothing: another proxy takes the pods; connect to it, and go on draining here, too
};

struct HandoverMessage {
  HandoverType type = HandoverType::synced;
  std::string uid = {};  // of the pod
  ObjectName pod = {};
  IpAddress address = {};  // of the pod
  std::string message = {};

  friend bool operator==(const HandoverMessage&, const HandoverMessage&) = default;
};

std::string encode(const HandoverMessage& message);
Result<HandoverMessage> decode_handover(std::string_view text);

}  // namespace tulle::mesh
