#include "proxy/loads.h"

#include "proxy/test_world.h"

#include <fmt/format.h>

namespace tulle::proxy {
namespace {

class Loads : public ProxyTest {};

TEST_F(Loads, every_request_counts_at_the_pod_that_it_was_sent_to) {
  make_servers(2);
  EXPECT_EQ(loads_json(*builder.build()),
            fmt::format(R"({{"{}":0,"{}":0}})", servers[0].pod->address.to_string(),
                        servers[1].pod->address.to_string()));
  for (int i = 0; i < 5; ++i) {
    http::Wire wire = dial();
    ask(wire, "/");
  }
  EXPECT_EQ(loads_json(*builder.build()),
            fmt::format(R"({{"{}":{},"{}":{}}})", servers[0].pod->address.to_string(), counts()[0],
                        servers[1].pod->address.to_string(), counts()[1]));
  EXPECT_EQ(counts()[0] + counts()[1], 5);
}

}  // namespace
}  // namespace tulle::proxy
