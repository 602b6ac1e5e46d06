// Asks a gRPC server how it is, by grpc.health.v1.Health/Check over HTTP/2 with prior knowledge:
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md
#pragma once

#include "base/result.h"
#include "net/stream.h"
#include "rt/task.h"

#include <memory>
#include <string>

namespace tulle::rt {
class Loop;
}

namespace tulle::http {

struct GrpcHealthQuestion {
  std::string service = {};  // empty: the server as a whole
  std::string authority = {};
  std::string user_agent = {};
};

// One question over a new connection. SERVING is success; the error says what the server answered
// in its place, in the words of kubelet's probes. Wrap in rt::with_deadline for a time limit.
rt::Task<Result<void>> check_grpc_health(rt::Loop& loop, std::unique_ptr<net::Stream> stream,
                                         GrpcHealthQuestion question);

}  // namespace tulle::http
