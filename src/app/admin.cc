#include "app/admin.h"

#include "codec/url.h"

namespace tulle::app {

namespace {

// What /explain?from=…&method=…&url=…&header=… asks about.
Result<proxy::ImaginedRequest> imagine(std::string_view query) {
  TRY(const codec::Query parameters, codec::Query::parse(query));
  proxy::ImaginedRequest imagined{.from = std::string(parameters.get_or("from", "")),
                                  .method = std::string(parameters.get_or("method", "GET")),
                                  .url = std::string(parameters.get_or("url", ""))};
  if (!codec::is_token(imagined.method)) {
    return fail(Code::invalid_argument, "\"" + imagined.method + "\" is no method");
  }
  for (const std::string_view header : parameters.get_all("header")) {
    const std::size_t colon = header.find(':');
    const std::string_view name = header.substr(0, colon);
    if (colon == std::string_view::npos || !codec::is_token(name)) {
      return fail(Code::invalid_argument,
                  "\"" + std::string(header) + "\" is no header: write Name: value");
    }
    imagined.headers.append(name, header.substr(colon + 1));
  }
  return imagined;
}

}  // namespace

codec::ResponseHead Admin::answer(const codec::RequestHead& request, std::string& body) const {
  const codec::Target target = codec::split_target(request.target);
  codec::ResponseHead head;
  if (request.method != "GET" && request.method != "HEAD") {
    head.status = 405;
    body = "only GET\n";
  } else if (target.path == "/metrics") {
    head.headers.append("Content-Type", "text/plain; version=0.0.4");
    update_();
    body = registry_.exposition();
  } else if (target.path == "/healthz") {
    body = "ok";
  } else if (target.path == "/explain" && mesh_.explain) {
    const auto imagined = imagine(target.query);
    auto text = imagined ? mesh_.explain(*imagined) : Result<std::string>(imagined.error());
    head.status = text ? 200 : 400;
    body = text ? *std::move(text) : text.error().message + "\n";
  } else if (target.path == "/loads" && mesh_.loads) {
    head.headers.append("Content-Type", "application/json");
    body = mesh_.loads();
  } else {
    head.status = 404;
    body = "there are /metrics and /healthz\n";
  }
  return head;
}

rt::Task<void> Admin::handle(http::Request& request, http::Exchange& exchange) {
  std::string body;
  const codec::ResponseHead head = answer(request.head, body);
  // An error means that the client is gone.
  (void)co_await exchange.send(head, body);
}

}  // namespace tulle::app
