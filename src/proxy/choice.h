// Where the next attempt goes: route and pick over the Snapshot in use, written into the record;
// and what is learned of the endpoint when the attempt has ended.
#pragma once

#include "codec/http_message.h"
#include "mesh/live_state.h"
#include "mesh/pick.h"
#include "obs/access_record.h"
#include "proxy/context.h"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tulle::proxy {

struct Choice {
  std::optional<SocketAddress> endpoint = std::nullopt;  // none: answer `status` and `why`
  mesh::PickReason reason = mesh::PickReason::no_endpoints;
  bool stands_in = false;  // none of a lower level could be picked
  mesh::ProtocolHint protocol = mesh::ProtocolHint::detect;
  std::shared_ptr<mesh::Gate> connections = {};     // of the endpoint, where they are limited
  mesh::InFlight in_flight = {};                    // counts at the endpoint as long as it lives
  std::shared_ptr<const mesh::Policy> policy = {};  // of the service; null: none
  // Where the policy asks for it.
  bool observes_latency = false;                            // at the endpoint
  std::shared_ptr<mesh::LatencyHistogram> latencies = {};   // of the port
  std::optional<std::uint64_t> new_session = std::nullopt;  // to be told to the client
  std::uint16_t status = 0;
  std::string why = {};

  const mesh::Policy& the_policy() const { return policy ? *policy : mesh::Policy::none(); }
};

// An endpoint that had its turn when a connection was dialled before it was known what for. It
// takes what comes, where it still can: with a turn more another endpoint would be passed over.
struct Chosen {
  SocketAddress endpoint = {};
  mesh::PickReason reason = mesh::PickReason::no_endpoints;
};

// The connection for what `downstream` sends to the endpoint of a choice that has one.
UpstreamKey upstream_key(const Downstream& downstream, const Choice& choice);

// What its policy says of that.
ConnectLimits connect_limits(const Choice& choice);

struct ChoiceRequest {
  const codec::RequestHead* head = nullptr;   // null: a TCP connection
  std::span<const SocketAddress> tried = {};  // not again
  std::optional<Chosen> chosen = std::nullopt;
  // Where somebody wants to know: what the decision was about, and where the reasons go.
  const mesh::RouteRequest* routed = nullptr;
  std::vector<std::string>* reasons = nullptr;
};

// An endpoint of the service that `decision` names.
Choice choose_endpoint(Context& context, const mesh::Decision& decision,
                       const Downstream& downstream, const ChoiceRequest& request,
                       obs::AccessRecord& record);

// The address itself that `decision` names: a pod's own, or one outside.
SocketAddress take_address(const mesh::Decision& decision, obs::AccessRecord& record);

// Counts what came of an attempt at choice.endpoint, for outlier detection and the policies that go
// by latency. True: judge_endpoint() has to follow. REQUIRES: choice.in_flight has not ended.
bool count_outcome(Context& context, const Choice& choice, mesh::Outcome outcome, Duration latency);
// Leaves the endpoint out for a while, if that is what its record and the limits say. `decision`:
// where the connection or request would be routed now. `outcome`: of the last attempt.
void judge_endpoint(Context& context, const mesh::Decision& decision, const Choice& choice,
                    mesh::Outcome outcome);

// The endpoint has asked to be left alone for a while (Retry-After). Only where its policy says so.
void note_retry_after(Context& context, const mesh::Decision& decision, const Choice& choice,
                      Duration time);

obs::AccessRecord begin_record(const Context& context, const Downstream& downstream,
                               std::string_view protocol);

}  // namespace tulle::proxy
