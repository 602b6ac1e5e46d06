// The service world: says hello at / on port 8081.
#include "pod.h"

#include "codec/url.h"

#include <cstdio>

namespace hello_world {
namespace {

using namespace tulle;

class World final : public http::Handler {
 public:
  rt::Task<void> handle(http::Request& request, http::Exchange& exchange) override {
    const bool known = codec::split_target(request.head.target).path == "/";
    return known ? answer(exchange, 200, "Hello, world!\n")
                 : answer(exchange, 404, "There is only / here\n");
  }
};

}  // namespace
}  // namespace hello_world

int main() {
  auto driver = tulle::rt::EpollDriver::create();
  if (!driver) {
    std::fprintf(stderr, "%s\n", driver.error().message.c_str());
    return 1;
  }
  hello_world::Program program(*std::move(driver));
  hello_world::World world;
  return hello_world::serve(program, 8081, world);
}
