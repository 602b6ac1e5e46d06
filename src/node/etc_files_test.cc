#include "node/etc_files.h"

#include "codec/json.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tulle::node {
namespace {

boost::json::object pod(std::string_view spec) {
  return {{"metadata", {{"name", "web-0"}, {"namespace", "shop"}}},
          {"spec", codec::parse_json(spec).value()}};
}

const EtcFiles kFiles{.hostname = "web-0",
                      .address = "10.244.0.9",
                      .dns_address = "10.96.0.10",
                      .cluster_domain = "cluster.local"};

TEST(EtcFiles, names_are_looked_up_as_the_pod_says) {
  const std::string cluster =
      "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\n";
  struct Case {
    const char* spec;
    std::string text;
  };
  for (const Case& each :
       {Case{"{}", cluster + "options ndots:5\n"},
        Case{R"({"dnsPolicy":"ClusterFirst","dnsConfig":{"options":[{"name":"ndots","value":"2"},
             {"name":"edns0"}]}})",
             cluster + "options ndots:2 edns0\n"},
        Case{R"({"dnsPolicy":"Default"})", "nameserver 10.96.0.10\n"},
        Case{R"({"dnsPolicy":"None","dnsConfig":{"nameservers":["192.0.2.1","192.0.2.1"],
             "searches":["corp.example"]}})",
             "search corp.example\nnameserver 192.0.2.1\n"}}) {
    EXPECT_EQ(resolver_text(pod(each.spec), kFiles), each.text) << each.spec;
  }
}

TEST(EtcFiles, hosts_has_the_pod_by_all_its_names_and_its_aliases) {
  const std::string text = hosts_text(
      pod(R"({"subdomain":"web","hostAliases":[{"ip":"192.0.2.7","hostnames":["a","b"]}]})"),
      kFiles);
  EXPECT_NE(text.find("\n10.244.0.9\tweb-0.web.shop.svc.cluster.local\tweb-0\n"),
            std::string::npos);
  EXPECT_TRUE(text.ends_with("\n192.0.2.7\ta\tb\n"));
  EXPECT_NE(hosts_text(pod("{}"), kFiles).find("\n10.244.0.9\tweb-0\n"), std::string::npos);
}

}  // namespace
}  // namespace tulle::node
