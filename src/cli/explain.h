// `tulle explain`: why a request goes where it goes, asked of the proxy of a running instance.
#pragma once

#include <string>
#include <vector>

namespace tulle::cli {

struct ExplainOptions {
  std::string data_dir;
  std::string from = {};  // "pod" or "namespace/pod"; empty: through the Ingress
  std::string method = "GET";
  std::string url = {};
  std::vector<std::string> headers = {};  // "Name: value"
};

// Prints the explanation. Returns the exit code; what went wrong is one line on standard error.
int run_explain(const ExplainOptions& options);

}  // namespace tulle::cli
