// The service hello on port 8080: says hello at /, and at /world asks the service world.
//
//   hello                                              serves
//   hello fetch URL [--count N] [--concurrency C]      asks, and counts who answered
#include "pod.h"

#include "codec/url.h"
#include "rt/scope.h"

#include <charconv>
#include <cstdio>
#include <map>
#include <vector>

namespace hello_world {
namespace {

using namespace tulle;

class Hello final : public http::Handler {
 public:
  explicit Hello(Program& program) : program_(program) {}

  rt::Task<void> handle(http::Request& request, http::Exchange& exchange) override {
    const std::string_view path = codec::split_target(request.head.target).path;
    if (path == "/") return answer(exchange, 200, "Hello, world!\n");
    if (path == "/world") return ask_world(exchange);
    return answer(exchange, 404, "There are only / and /world here\n");
  }

 private:
  rt::Task<void> ask_world(http::Exchange& exchange) {
    const auto reply = co_await get("http://world/");
    if (!reply) co_return co_await answer(exchange, 502, "world: " + reply.error().message + "\n");
    const auto who = reply->head.headers.get(kPodField).value_or("nobody");
    co_await answer(
        exchange, reply->head.status,
        pod_name() + " asked world, and " + std::string(who) + " answered: " + reply->body);
  }
  rt::Task<Result<http::Reply>> get(std::string url) {
    CO_TRY(const Destination to, co_await open(program_, std::move(url)));
    co_return co_await to.client->get(to.target);
  }

  Program& program_;
};

struct Fetch {
  std::string url;
  int count = 1;
  int concurrency = 1;
};

// How often each thing was seen.
struct Tally {
  std::map<std::string, int> seen;
  bool failed = false;

  void add(const Result<http::Reply>& reply) {
    if (!reply) {
      ++seen["error " + reply.error().message];
      failed = true;
      return;
    }
    ++seen["status " + std::to_string(reply->head.status)];
    if (reply->head.status >= 400) failed = true;
    if (const auto pod = reply->head.headers.get(kPodField)) ++seen["pod " + std::string(*pod)];
  }
};

// One of those who ask at the same time, each over a connection of its own.
rt::Task<void> ask(Program& program, const Fetch& fetch, int& left, Tally& tally) {
  const auto to = co_await open(program, fetch.url);
  while (left-- > 0) {
    if (to) {
      tally.add(co_await to->client->get(to->target));
    } else {
      tally.add(to.error());
    }
  }
}

rt::Task<Tally> ask_all(Program& program, const Fetch& fetch) {
  Tally tally;
  int left = fetch.count;
  rt::Scope askers(program.loop);
  for (int i = 0; i < fetch.concurrency; ++i) askers.spawn(ask(program, fetch, left, tally));
  co_await askers.idle();
  co_return tally;
}

bool parse_fetch(const std::vector<std::string>& arguments, Fetch& fetch) {
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    int* number = argument == "--count"         ? &fetch.count
                  : argument == "--concurrency" ? &fetch.concurrency
                                                : nullptr;
    if (number == nullptr) {
      if (!fetch.url.empty() || argument.starts_with('-')) return false;
      fetch.url = argument;
      continue;
    }
    if (++i == arguments.size()) return false;
    const std::string& text = arguments[i];
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
    if (error != std::errc{} || end != text.data() + text.size() || *number < 1) return false;
  }
  return !fetch.url.empty();
}

int run(const std::vector<std::string>& arguments, Program& program) {
  if (arguments.empty()) {
    Hello hello(program);
    return serve(program, 8080, hello);
  }
  Fetch fetch;
  if (arguments[0] != "fetch" || !parse_fetch(arguments, fetch)) {
    std::fputs("usage: hello [fetch URL [--count N] [--concurrency C]]\n", stderr);
    return 2;
  }
  const Tally tally = program.loop.run(ask_all(program, fetch));
  for (const auto& [what, times] : tally.seen) std::printf("%s: %d\n", what.c_str(), times);
  return tally.failed ? 1 : 0;
}

}  // namespace
}  // namespace hello_world

int main(int argc, char** argv) {
  auto driver = tulle::rt::EpollDriver::create();
  if (!driver) {
    std::fprintf(stderr, "%s\n", driver.error().message.c_str());
    return 1;
  }
  hello_world::Program program(*std::move(driver));
  return hello_world::run({argv + 1, argv + argc}, program);
}
