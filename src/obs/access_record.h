// What one request, or one TCP connection, came to. Filled along its way and handed over exactly
// once, when it ends; metrics, the access log and `tulle explain` are made from it.
#pragma once

#include "base/address.h"
#include "base/time.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace tulle::obs {

// A value. Texts that come from enums (reasons, listener, protocol) are views of static text.
// Names of objects are "namespace/name"; empty where there is none.
struct AccessRecord {
  WallTime started_at = {};

  // Who called.
  std::string downstream_workload = {};  // empty: from outside, by a front door
  SocketAddress downstream_address = {};
  std::string_view listener = {};  // "capture", "ingress", …
  SocketAddress destination = {};  // what was dialled

  // What was asked. Empty for plain TCP, but for `protocol`.
  std::string_view protocol = {};  // "http/1.1", "tcp", "udp"
  std::string method = {};
  std::string host = {};
  std::string path = {};

  // Where it went, and why there.
  std::string service = {};
  std::uint16_t service_port = 0;
  std::string upstream_workload = {};
  SocketAddress upstream_address = {};
  std::string_view route_reason = {};
  std::string_view pick_reason = {};
  std::uint64_t generation = 0;  // of the Snapshot that decided

  // How it went.
  std::uint16_t attempts = 0;               // connections and requests tried upstream
  std::uint16_t status = 0;                 // HTTP status sent downstream; 0 for TCP
  std::string error = {};                   // a sentence; empty when all went well
  std::uint64_t bytes_from_downstream = 0;  // bodies, or the stream
  std::uint64_t bytes_to_downstream = 0;
  Duration to_first_byte = {};  // from the start to the first byte of the response
  Duration total = {};          // to the last
};

// One line of key=value pairs, without a line end; empty fields are left out.
std::string to_line(const AccessRecord& record);

}  // namespace tulle::obs
