// What a policy reads off a request to keep what belongs together at one endpoint.
#pragma once

#include "base/address.h"
#include "codec/http_message.h"
#include "mesh/pick.h"
#include "mesh/policy.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tulle::proxy {

// The hash of what `on` names. None where the request has no such header, cookie or parameter.
// `head`: null for a TCP connection, of which only the client's address is known.
std::optional<std::uint64_t> hash_key(const mesh::HashOn& on, const codec::RequestHead* head,
                                      const IpAddress& client);

// The session that a request carries, as write_session() wrote it. None if it has none that can
// be read.
std::optional<std::uint64_t> read_session(const mesh::SessionPersistence& session,
                                          const codec::Headers& headers);
// Tells the client the session, for its next request.
void write_session(const mesh::SessionPersistence& session, std::uint64_t value,
                   codec::Headers& headers);

// What a pick by this policy goes by, beside the load. `head`: as of hash_key().
mesh::PickRequest pick_request(const mesh::Policy& policy, const IpAddress& client,
                               const codec::RequestHead* head);

// The value of the first cookie of that name (RFC 6265 §5.4; HTTP/2 may send it in several fields).
std::optional<std::string_view> find_cookie(const codec::Headers& headers, std::string_view name);

}  // namespace tulle::proxy
