// `tulle explain -f`: what the proxy alone would do over manifests, without running it.
#pragma once

#include "base/result.h"
#include "cli/explain.h"
#include "compile/nearness.h"
#include "proxy/explain.h"

#include <string>
#include <string_view>
#include <vector>

namespace tulle::app {

// What `method`, `url` and "Name: value" lines ask about. Error: invalid_argument.
Result<proxy::ImaginedRequest> imagine(std::string_view from, std::string_view method,
                                       std::string_view url,
                                       const std::vector<std::string>& headers);

// As cli::run_explain(). `manifests`: as of FolderSource; `here`: where the proxy would be.
int explain_manifests(const cli::ExplainOptions& options, std::vector<std::string> manifests,
                      const compile::Place& here);

}  // namespace tulle::app
