#include "cli/instance_socket.h"

#include "http/client.h"
#include "net/kernel_network.h"
#include "rt/epoll_driver.h"

#include <cstdio>
#include <utility>

namespace tulle::cli {

Result<std::string> ask_instance(const std::string& data_dir, InstanceRequest request) {
  TRY(auto driver, rt::EpollDriver::create());
  rt::Loop loop(driver);
  net::KernelNetwork network(loop, driver);
  http::Client client(
      loop, network,
      {.unix_path = data_dir + "/" + request.socket, .response_timeout = request.response_timeout});
  auto reply = loop.run(client.request(std::move(request.head), std::move(request.body)));
  if (!reply) {
    const Code code = reply.error().code;
    if (code != Code::refused && code != Code::not_found) return std::move(reply).error();
    return fail(Code::not_found, "no tulle runs on " + data_dir +
                                     "; start one with tulle up, or name its --data-dir");
  }
  if (reply->head.status == 200) return std::move(reply->body);
  std::string why = std::move(reply->body);
  while (why.ends_with('\n')) why.pop_back();
  return fail(Code::invalid_argument, std::move(why));
}

int print_outcome(std::string_view command, const Result<std::string>& text) {
  if (!text) {
    std::fprintf(stderr, "tulle %.*s: %s\n", static_cast<int>(command.size()), command.data(),
                 text.error().message.c_str());
    return 1;
  }
  std::fputs(text->c_str(), stdout);
  return 0;
}

}  // namespace tulle::cli
