#include "cli/explain.h"

#include "cli/instance_socket.h"
#include "codec/url.h"

namespace tulle::cli {

int run_explain(const ExplainOptions& options) {
  std::string target = "/explain?method=" + codec::percent_encode(options.method) +
                       "&url=" + codec::percent_encode(options.url) +
                       "&from=" + codec::percent_encode(options.from);
  for (const std::string& header : options.headers) {
    target += "&header=" + codec::percent_encode(header);
  }
  return print_outcome(
      "explain",
      ask_instance(options.data_dir, {.socket = "run/admin.sock",
                                      .head = {.method = "GET", .target = std::move(target)}}));
}

}  // namespace tulle::cli
