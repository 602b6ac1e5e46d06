// A program that lives in a pod and looks at what it was given there. SIGTERM does not end it: the
// first process of a namespace has no default for that.
//   tenant serve PORT TLS_PORT SICK_FILE
//       200 to every GET, but 410 to /gone, where /moved leads; grpc.health.v1.Health/Check:
//       SERVING unless SICK_FILE is there. TLS by a certificate of its own.
//   tenant cat FILE                  prints the file
//   tenant write FILE TEXT [CODE]    writes the file, makes its directory, ends with CODE
//   tenant swap NAME TARGET          for ever: NAME is a directory, then a link to TARGET, then the
//                                    directory again
//   tenant try CALL [PATH]           makes a system call and prints "done" or why not: keyctl,
//                                    unshare, mkdir PATH, mount PATH (a tmpfs)
#include "http/server.h"
#include "net/kernel_network.h"
#include "net/pki.h"
#include "rt/combine.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

namespace {

using namespace std::chrono_literals;
using namespace tulle;

class Tenant final : public http::Handler {
 public:
  explicit Tenant(std::string sick_file) : sick_file_(std::move(sick_file)) {}

  rt::Task<void> handle(http::Request& request, http::Exchange& exchange) override {
    if (request.head.method == "POST") return serve_grpc(exchange);
    if (request.head.target == "/moved") {
      return send(exchange, {.status = 302, .headers = {{"Location", "/gone"}}});
    }
    return send(exchange, {.status = request.head.target == "/gone" ? 410 : 200});
  }

 private:
  static rt::Task<void> send(http::Exchange& exchange, codec::ResponseHead head) {
    static_cast<void>(co_await exchange.send(head));
  }
  rt::Task<void> serve_grpc(http::Exchange& exchange) {
    const char status = std::filesystem::exists(sick_file_) ? '\2' : '\1';
    const std::string answer = std::string("\0\0\0\0\2\x08", 6) + status;
    const codec::Headers trailers{{"grpc-status", "0"}};
    static_cast<void>(co_await exchange.start({.headers = {{"Content-Type", "application/grpc"}}}));
    static_cast<void>(co_await exchange.write(answer));
    static_cast<void>(co_await exchange.finish(&trailers));
  }

  const std::string sick_file_;
};

Result<std::shared_ptr<const net::TlsContext>> make_tls(rt::Loop& loop) {
  net::CertificateOptions options{
      .common_name = "tenant", .server = true, .not_before = loop.wall_now() - 1h, .lifetime = 24h};
  TRY(const net::KeyPair authority, net::make_certificate_authority(options));
  TRY(const net::KeyPair own, net::issue_certificate(authority, options));
  return net::TlsContext::server(
      {.certificate_chain_pem = own.certificate_pem, .private_key_pem = own.private_key_pem});
}

Result<void> serve(std::uint16_t port, std::uint16_t tls_port, std::string sick_file) {
  TRY(rt::EpollDriver driver, rt::EpollDriver::create());
  rt::Loop loop(driver);
  net::KernelNetwork network(loop, driver);
  TRY(auto tls, make_tls(loop));
  TRY(auto listener, network.listen({.at = {.ip = IpAddress(), .port = port}}));
  TRY(auto tls_listener, network.listen({.at = {.ip = IpAddress(), .port = tls_port}}));
  Tenant tenant(std::move(sick_file));
  const http::Server plain(loop, std::move(listener), tenant, {});
  const http::Server secure(loop, std::move(tls_listener), tenant, {.tls = std::move(tls)});
  loop.run(rt::until(loop, kNever));
  return {};
}

int fail_with(const std::string& why) {
  std::fprintf(stderr, "tenant: %s\n", why.c_str());
  return EXIT_FAILURE;
}

int print(const std::string& path) {
  std::ifstream file(path);
  if (!file) return fail_with("cannot read " + path);
  std::ostringstream text;
  text << file.rdbuf();
  std::fputs(text.str().c_str(), stdout);
  return EXIT_SUCCESS;
}

int write(const std::string& path, const std::string& text, int code) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  std::ofstream file(path);
  if (!(file << text << std::flush)) return fail_with("cannot write " + path);
  return code;
}

// For ever, unless it cannot.
int swap(const std::string& name, const std::string& target) {
  const std::string link = name + ".link";
  std::error_code error;
  std::filesystem::create_directories(name, error);
  std::filesystem::create_directory_symlink(target, link, error);
  while (::renameat2(AT_FDCWD, name.c_str(), AT_FDCWD, link.c_str(), RENAME_EXCHANGE) == 0) {
  }
  return fail_with("cannot swap " + name);
}

// A call's result as the kernel gives it.
std::optional<long> call(const std::string& name, const char* path) {
  if (name == "keyctl")
    return ::syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1);
  if (name == "unshare") return ::unshare(CLONE_NEWUTS);
  if (name == "mkdir") return ::mkdir(path, 0700);
  if (name == "mount") return ::mount("tmpfs", path, "tmpfs", 0, nullptr);
  return std::nullopt;
}

int try_call(const std::string& name, const std::string& path) {
  const auto result = call(name, path.c_str());
  if (!result) return fail_with("no such call: " + name);
  std::puts(*result < 0 ? std::strerror(errno) : "done");
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const std::string verb = words.empty() ? "" : words[0];
  if (verb == "serve" && words.size() == 4) {
    const auto served = serve(static_cast<std::uint16_t>(std::atoi(words[1].c_str())),
                              static_cast<std::uint16_t>(std::atoi(words[2].c_str())), words[3]);
    return served ? EXIT_SUCCESS : fail_with(served.error().message);
  }
  if (verb == "cat" && words.size() == 2) return print(words[1]);
  if (verb == "write" && words.size() >= 3) {
    return write(words[1], words[2], words.size() > 3 ? std::atoi(words[3].c_str()) : 0);
  }
  if (verb == "swap" && words.size() == 3) return swap(words[1], words[2]);
  if (verb == "try" && words.size() >= 2) {
    return try_call(words[1], words.size() > 2 ? words[2] : "");
  }
  return fail_with(
      "serve PORT TLS_PORT SICK_FILE | cat FILE | write FILE TEXT [CODE] |"
      " swap NAME TARGET | try CALL [PATH]");
}
