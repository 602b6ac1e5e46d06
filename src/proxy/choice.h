// Where the next attempt goes: route and pick over the Snapshot in use, written into the record.
#pragma once

#include "mesh/live_state.h"
#include "mesh/pick.h"
#include "obs/access_record.h"
#include "proxy/context.h"

#include <optional>
#include <span>

namespace tulle::proxy {

struct Choice {
  std::optional<SocketAddress> endpoint = std::nullopt;  // none: answer `status` and `why`
  mesh::PickReason reason = mesh::PickReason::no_endpoints;
  mesh::ProtocolHint protocol = mesh::ProtocolHint::detect;
  mesh::InFlight in_flight = {};  // counts at the endpoint as long as it lives
  std::uint16_t status = 0;
  std::string why = {};
};

// An endpoint that had its turn when a connection was dialled before it was known what for. It
// takes what comes, where it still can: with a turn more another endpoint would be passed over.
struct Chosen {
  SocketAddress endpoint = {};
  mesh::PickReason reason = mesh::PickReason::no_endpoints;
};

// An endpoint of the service that `decision` names, other than those in `tried`.
Choice choose_endpoint(Context& context, const mesh::Decision& decision,
                       const Downstream& downstream, std::span<const SocketAddress> tried,
                       const std::optional<Chosen>& chosen, obs::AccessRecord& record);

obs::AccessRecord begin_record(const Context& context, const Downstream& downstream,
                               std::string_view protocol);

}  // namespace tulle::proxy
