#include "app/admin.h"

#include "app/explain_manifests.h"
#include "codec/url.h"

namespace tulle::app {

namespace {

// What /explain?from=…&method=…&url=…&header=… asks about.
Result<proxy::ImaginedRequest> imagine_query(std::string_view query) {
  TRY(const codec::Query parameters, codec::Query::parse(query));
  const auto lines = parameters.get_all("header");
  const std::vector<std::string> headers(lines.begin(), lines.end());
  return imagine(parameters.get_or("from", ""), parameters.get_or("method", "GET"),
                 parameters.get_or("url", ""), headers);
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
    const auto imagined = imagine_query(target.query);
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
