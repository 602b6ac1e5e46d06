// Questions to a running instance, over the Unix sockets of its data directory.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "codec/http_message.h"

#include <chrono>
#include <string>
#include <string_view>

namespace tulle::cli {

struct InstanceRequest {
  std::string socket;  // below the data directory: "run/admin.sock"
  codec::RequestHead head;
  std::string body = {};
  Duration response_timeout = std::chrono::seconds(60);  // until the head; 0: none
};

// The body of the answer. Errors: not_found, when no instance runs there; for an answer other than
// 200, invalid_argument and what it says.
Result<std::string> ask_instance(const std::string& data_dir, InstanceRequest request);

// Prints an error, as one line of `tulle COMMAND`, or the text; returns the exit code.
int print_outcome(std::string_view command, const Result<std::string>& text);

}  // namespace tulle::cli
