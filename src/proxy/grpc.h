// What a proxy must know of gRPC, whose protocol lies over HTTP/2:
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
#pragma once

#include "base/time.h"
#include "codec/http_message.h"

#include <optional>
#include <string_view>

namespace tulle::proxy {

// By its content type: application/grpc, with or without a suffix.
bool is_grpc(const codec::RequestHead& head);

// What grpc-timeout says, of a gRPC request. Nothing where there is none, or none that can be read.
std::optional<Duration> grpc_timeout(const codec::RequestHead& head);

// The whole response to a gRPC request that this proxy answers itself: HTTP 200, and the failure in
// grpc-status and grpc-message. `status` is the HTTP status that others would get.
codec::ResponseHead grpc_failure(int status, std::string_view why);

}  // namespace tulle::proxy
