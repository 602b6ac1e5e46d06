#include "node/http_place.h"

#include <gtest/gtest.h>

namespace tulle::node {
namespace {

// "" where it leads nowhere.
std::string led(std::string_view location) {
  const HttpPlace from{.to = {.ip = IpAddress::v4(10, 244, 0, 9), .port = 8080},
                       .target = "/a/b?q=/x"};
  const auto place = redirected(from, location);
  if (!place) return "";
  return (place->tls ? "https://" : "http://") + place->to.to_string() + place->target;
}

TEST(HttpPlace, redirects_are_followed_on_the_same_host_only) {
  struct Case {
    const char* location;
    const char* leads_to;
  };
  for (const Case& each :
       {Case{"/ok", "http://10.244.0.9:8080/ok"}, Case{"c?d", "http://10.244.0.9:8080/a/c?d"},
        Case{"/ok#part", "http://10.244.0.9:8080/ok"},
        Case{"http://10.244.0.9/x?y", "http://10.244.0.9:80/x?y"},
        Case{"https://10.244.0.9:8443", "https://10.244.0.9:8443/"},
        Case{"//10.244.0.9:81/x", "http://10.244.0.9:81/x"}, Case{"http://10.244.0.8:8080/", ""},
        Case{"https://example.com/login", ""}, Case{"http://:x/", ""}, Case{"", ""}}) {
    EXPECT_EQ(led(each.location), each.leads_to) << each.location;
  }
}

}  // namespace
}  // namespace tulle::node
