#include "app/explain_manifests.h"

#include "app/folder_source.h"
#include "base/log.h"
#include "cli/instance_socket.h"
#include "codec/http_message.h"
#include "rt/epoll_driver.h"

namespace tulle::app {

Result<proxy::ImaginedRequest> imagine(std::string_view from, std::string_view method,
                                       std::string_view url,
                                       const std::vector<std::string>& headers) {
  proxy::ImaginedRequest imagined{
      .from = std::string(from), .method = std::string(method), .url = std::string(url)};
  if (!codec::is_token(imagined.method)) {
    return fail(Code::invalid_argument, "\"" + imagined.method + "\" is no method");
  }
  for (const std::string& header : headers) {
    const std::size_t colon = header.find(':');
    const std::string_view name = std::string_view(header).substr(0, colon);
    if (colon == std::string::npos || !codec::is_token(name)) {
      return fail(Code::invalid_argument, "\"" + header + "\" is no header: write Name: value");
    }
    imagined.headers.append(name, std::string_view(header).substr(colon + 1));
  }
  return imagined;
}

namespace {

Result<std::string> explanation(const cli::ExplainOptions& options,
                                std::vector<std::string> manifests, const compile::Place& here) {
  TRY(const auto imagined, imagine(options.from, options.method, options.url, options.headers));
  TRY(auto driver, rt::EpollDriver::create());
  rt::Loop loop(driver);
  mesh::SnapshotPtr snapshot;
  FolderSource source(loop, driver, std::move(manifests), {}, here,
                      [&](mesh::SnapshotPtr published) { snapshot = std::move(published); });
  TRY_VOID(source.start());
  Random random(0);
  return proxy::explain_request(*snapshot, imagined, loop.now(), random);
}

}  // namespace

int explain_manifests(const cli::ExplainOptions& options, std::vector<std::string> manifests,
                      const compile::Place& here) {
  log::configure(log::Level::error, "explain");
  return cli::print_outcome("explain", explanation(options, std::move(manifests), here));
}

}  // namespace tulle::app
