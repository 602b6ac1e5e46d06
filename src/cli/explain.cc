#include "cli/explain.h"

#include "codec/url.h"
#include "http/client.h"
#include "net/kernel_network.h"
#include "rt/epoll_driver.h"

#include <cstdio>

namespace tulle::cli {

namespace {

rt::Task<Result<std::string>> ask(http::Client& proxy, std::string target) {
  CO_TRY(const http::Reply reply, co_await proxy.get(target));
  if (reply.head.status == 200) co_return reply.body;
  std::string why = reply.body;
  while (why.ends_with('\n')) why.pop_back();
  co_return fail(Code::invalid_argument, std::move(why));
}

Result<std::string> explanation(const ExplainOptions& options) {
  TRY(auto driver, rt::EpollDriver::create());
  rt::Loop loop(driver);
  net::KernelNetwork network(loop, driver);
  http::Client proxy(loop, network, {.unix_path = options.data_dir + "/run/admin.sock"});
  std::string target = "/explain?method=" + codec::percent_encode(options.method) +
                       "&url=" + codec::percent_encode(options.url) +
                       "&from=" + codec::percent_encode(options.from);
  for (const std::string& header : options.headers) {
    target += "&header=" + codec::percent_encode(header);
  }
  auto answered = loop.run(ask(proxy, std::move(target)));
  const bool nobody = !answered && (answered.error().code == Code::refused ||
                                    answered.error().code == Code::not_found);
  if (!nobody) return answered;
  return fail(Code::not_found, "no tulle runs on " + options.data_dir +
                                   "; start one with tulle up, or name its --data-dir");
}

}  // namespace

int run_explain(const ExplainOptions& options) {
  const auto text = explanation(options);
  if (!text) {
    std::fprintf(stderr, "tulle explain: %s\n", text.error().message.c_str());
    return 1;
  }
  std::fputs(text->c_str(), stdout);
  return 0;
}

}  // namespace tulle::cli
