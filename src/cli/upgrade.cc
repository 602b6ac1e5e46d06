#include "cli/upgrade.h"

#include "http/client.h"
#include "net/kernel_network.h"
#include "rt/epoll_driver.h"

#include <cstdio>
#include <filesystem>

namespace tulle::cli {

namespace {

// As another process can open it, wherever that is.
Result<std::string> absolute_path(const std::string& program) {
  std::error_code error;
  const auto path = program.empty() ? std::filesystem::read_symlink("/proc/self/exe", error)
                                    : std::filesystem::absolute(program, error);
  if (error) return fail(Code::internal, "finding the program: " + error.message());
  return path.string();
}

// The version that runs now.
Result<std::string> upgrade(const std::string& data_dir, const std::string& program) {
  TRY(const std::string path, absolute_path(program));
  TRY(auto driver, rt::EpollDriver::create());
  rt::Loop loop(driver);
  net::KernelNetwork network(loop, driver);
  http::Client supervisor(
      loop, network,
      {.unix_path = data_dir + "/run/supervisor.sock", .response_timeout = Duration{}});
  const auto reply = loop.run(supervisor.post("/upgrade", "text/plain", path));
  if (reply) {
    if (reply->head.status == 200) return reply->body;
    return fail(Code::unavailable, reply->body);
  }
  const Code code = reply.error().code;
  if (code != Code::refused && code != Code::not_found) return reply.error();
  return fail(Code::not_found,
              "no tulle runs on " + data_dir + "; start one with tulle up, or name its --data-dir");
}

}  // namespace

int run_upgrade(const std::string& data_dir, const std::string& program) {
  const auto version = upgrade(data_dir, program);
  if (!version) {
    std::fprintf(stderr, "tulle upgrade: %s\n", version.error().message.c_str());
    return 1;
  }
  std::printf("%s runs\n", version->c_str());
  return 0;
}

}  // namespace tulle::cli
