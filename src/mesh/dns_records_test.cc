#include "mesh/dns_records.h"

#include "mesh/mesh_test_util.h"

#include <gtest/gtest.h>

namespace tulle::mesh {
namespace {

using codec::DnsType;

Service with_port_name(Service made, std::string name) {
  made.ports[0].name = std::move(name);
  return made;
}

Service external(std::string name, std::string target) {
  return {.name = {"default", std::move(name)},
          .type = ServiceType::external_name,
          .external_name = std::move(target)};
}

SnapshotPtr small_mesh() {
  SnapshotBuilder builder;
  builder.put(with_port_name(testing::service("world", "10.96.0.7", {{"10.244.0.1:8081"}}), "web"));
  builder.put(with_port_name(testing::service("db", "",
                                              {{"10.244.0.4:5432", Health::ready, 1, "db-0"},
                                               {"10.244.0.5:5432"},
                                               {"10.244.0.6:5432", Health::not_ready, 1, "db-2"}}),
                             "pg"));
  builder.put(testing::service("empty", "", {{"10.244.0.7:80", Health::not_ready}}));
  Service other = testing::service("other", "10.96.0.9", {});
  other.name.namespace_name = "prod";
  builder.put(std::move(other));
  builder.put(external("away", "api.example.com"));
  builder.put(external("alias", "world.default.svc.cluster.local"));
  builder.put(external("astray", "nobody.default.svc.cluster.local"));
  Workload job = testing::workload("job-1", "10.244.0.8");
  job.name.namespace_name = "batch";
  builder.put(std::move(job));
  Workload db = testing::workload("db-0", "10.244.0.4");
  db.hostname = "db-0";
  db.subdomain = "db";
  builder.put(std::move(db));
  builder.put(testing::workload("world-1", "10.244.0.1"));
  return builder.build();
}

std::string to_text(const codec::DnsRecord& record) {
  if (auto* a = std::get_if<codec::DnsA>(&record.data)) {
    return "A " +
           IpAddress::v4(a->address[0], a->address[1], a->address[2], a->address[3]).to_string();
  }
  if (auto* srv = std::get_if<codec::DnsSrv>(&record.data)) {
    return "SRV " + std::to_string(srv->weight) + " " + std::to_string(srv->port) + " " +
           srv->target;
  }
  if (auto* to = std::get_if<codec::DnsName>(&record.data)) {
    return (record.type == DnsType::ptr ? "PTR " : "CNAME ") + to->name;
  }
  if (auto* text = std::get_if<codec::DnsTxt>(&record.data)) return "TXT " + text->strings[0];
  return "SOA";
}

// "A 10.96.0.7; A …", with the owner where it is not the asked name.
std::string to_text(const DnsAnswer& answer, std::string_view asked) {
  std::string text;
  for (const auto& record : answer.answers) {
    if (!text.empty()) text += "; ";
    if (record.name != asked) text += record.name + " ";
    text += to_text(record);
  }
  switch (answer.outcome) {
    case DnsOutcome::answered: return text.empty() ? "empty" : text;
    case DnsOutcome::no_such_name: return text + (text.empty() ? "NXDOMAIN" : "; NXDOMAIN");
    case DnsOutcome::forward: break;
  }
  return text + (text.empty() ? "" : "; ") + "ask " + answer.forward_name;
}

struct Row {
  std::string_view name;
  DnsType type;
  std::string_view answer;
};

const std::vector<std::string> search = {"default.svc.cluster.local", "svc.cluster.local",
                                         "cluster.local"};

void expect_rows(std::span<const Row> rows, std::span<const std::string> domains) {
  SnapshotPtr snapshot = small_mesh();
  for (const Row& row : rows) {
    DnsAnswer answer =
        resolve(*snapshot, {.name = row.name, .type = row.type, .search_domains = domains});
    EXPECT_EQ(to_text(answer, row.name), row.answer) << row.name;
    const bool ours = answer.outcome != DnsOutcome::forward;
    const bool any =
        std::ranges::any_of(answer.answers, [&](auto& record) { return record.type == row.type; });
    EXPECT_EQ(answer.authorities.size(), ours && !any ? 1U : 0U) << row.name;
  }
}

TEST(DnsRecordsTest, answers_full_names) {
  const Row rows[] = {
      {"world.default.svc.cluster.local", DnsType::a, "A 10.96.0.7"},
      {"WORLD.default.svc.Cluster.Local", DnsType::a, "A 10.96.0.7"},
      {"world.default.svc.cluster.local", DnsType::aaaa, "empty"},
      {"world.default.svc.cluster.local", DnsType::mx, "empty"},
      {"world.prod.svc.cluster.local", DnsType::a, "NXDOMAIN"},
      {"other.prod.svc.cluster.local", DnsType::a, "A 10.96.0.9"},
      {"x.y.z.world.default.svc.cluster.local", DnsType::a, "NXDOMAIN"},
      {"a.b.c.d.e.f.g.h.i.j.world.default.svc.cluster.local", DnsType::a, "NXDOMAIN"},
      {"10-244-0-1.world.default.svc.cluster.local", DnsType::a, "A 10.244.0.1"},
      {"db.default.svc.cluster.local", DnsType::a, "A 10.244.0.4; A 10.244.0.5"},
      {"db-0.db.default.svc.cluster.local", DnsType::a, "A 10.244.0.4"},
      {"db-2.db.default.svc.cluster.local", DnsType::a, "NXDOMAIN"},
      {"10-244-0-5.db.default.svc.cluster.local", DnsType::a, "A 10.244.0.5"},
      {"empty.default.svc.cluster.local", DnsType::a, "NXDOMAIN"},
      {"10-244-0-1.default.pod.cluster.local", DnsType::a, "A 10.244.0.1"},
      {"10-244-0-1.prod.pod.cluster.local", DnsType::a, "NXDOMAIN"},
      {"10-244-0-99.default.pod.cluster.local", DnsType::a, "NXDOMAIN"},
      {"_web._tcp.world.default.svc.cluster.local", DnsType::srv,
       "SRV 100 80 world.default.svc.cluster.local"},
      {"_web._udp.world.default.svc.cluster.local", DnsType::srv, "NXDOMAIN"},
      {"_web._tcp.world.default.svc.cluster.local", DnsType::a, "empty"},
      {"_pg._tcp.db.default.svc.cluster.local", DnsType::srv,
       "SRV 50 5432 db-0.db.default.svc.cluster.local; "
       "SRV 50 5432 10-244-0-5.db.default.svc.cluster.local"},
      {"away.default.svc.cluster.local", DnsType::a, "CNAME api.example.com; ask api.example.com"},
      {"away.default.svc.cluster.local", DnsType::cname, "CNAME api.example.com"},
      {"alias.default.svc.cluster.local", DnsType::a,
       "CNAME world.default.svc.cluster.local; world.default.svc.cluster.local A 10.96.0.7"},
      {"alias.default.svc.cluster.local", DnsType::aaaa, "CNAME world.default.svc.cluster.local"},
      {"astray.default.svc.cluster.local", DnsType::a,
       "CNAME nobody.default.svc.cluster.local; NXDOMAIN"},
      {"cluster.local", DnsType::a, "empty"},
      {"cluster.local", DnsType::soa, "SOA"},
      {"svc.cluster.local", DnsType::a, "empty"},
      {"default.svc.cluster.local", DnsType::a, "empty"},
      {"nothing.cluster.local", DnsType::a, "NXDOMAIN"},
      {"dns-version.cluster.local", DnsType::txt, "TXT 1.1.0"},
      {"7.0.96.10.in-addr.arpa", DnsType::ptr, "PTR world.default.svc.cluster.local"},
      {"4.0.244.10.in-addr.arpa", DnsType::ptr, "PTR db-0.db.default.svc.cluster.local"},
      {"1.0.244.10.in-addr.arpa", DnsType::ptr, "PTR 10-244-0-1.default.pod.cluster.local"},
      {"99.0.96.10.in-addr.arpa", DnsType::ptr, "NXDOMAIN"},
      {"8.8.8.8.in-addr.arpa", DnsType::ptr, "ask 8.8.8.8.in-addr.arpa"},
      {"world", DnsType::a, "ask world"},
      {"example.com", DnsType::a, "ask example.com"},
      {"notcluster.local", DnsType::a, "ask notcluster.local"},
      {"", DnsType::a, "ask "},
  };
  expect_rows(rows, {});
}

TEST(DnsRecordsTest, a_name_exists_where_one_below_it_does_and_nowhere_else) {
  const Row rows[] = {
      {"svc.cluster.local", DnsType::a, "empty"},
      {"pod.cluster.local", DnsType::aaaa, "empty"},
      {"prod.svc.cluster.local", DnsType::a, "empty"},
      {"batch.svc.cluster.local", DnsType::a, "empty"},
      {"batch.pod.cluster.local", DnsType::a, "empty"},
      {"nosuch.svc.cluster.local", DnsType::a, "NXDOMAIN"},
      {"nosuch.svc.cluster.local", DnsType::aaaa, "NXDOMAIN"},
      {"nosuch.pod.cluster.local", DnsType::a, "NXDOMAIN"},
      {"nope.nosuch.svc.cluster.local", DnsType::a, "NXDOMAIN"},
      {"nope.nosuch.svc.cluster.local", DnsType::aaaa, "NXDOMAIN"},
      {"_tcp.world.default.svc.cluster.local", DnsType::srv, "empty"},
      {"_udp.world.default.svc.cluster.local", DnsType::srv, "NXDOMAIN"},
      {"_tcp.db.default.svc.cluster.local", DnsType::a, "empty"},
      {"_tcp.empty.default.svc.cluster.local", DnsType::a, "NXDOMAIN"},
      {"_tcp.other.prod.svc.cluster.local", DnsType::a, "NXDOMAIN"},
  };
  expect_rows(rows, {});
  expect_rows(rows, search);
}

TEST(DnsRecordsTest, walks_the_search_path_in_one_step) {
  const Row rows[] = {
      {"world", DnsType::a, "A 10.96.0.7"},
      {"World", DnsType::aaaa, "empty"},
      {"world.default", DnsType::a, "A 10.96.0.7"},
      {"world.default.svc", DnsType::a, "A 10.96.0.7"},
      {"other.prod", DnsType::a, "A 10.96.0.9"},
      {"other", DnsType::a, "ask other"},
      {"default", DnsType::a, "ask default"},
      {"away", DnsType::a, "CNAME api.example.com; ask api.example.com"},
      {"_pg._tcp.db", DnsType::srv,
       "SRV 50 5432 db-0.db.default.svc.cluster.local; "
       "SRV 50 5432 10-244-0-5.db.default.svc.cluster.local"},
      {"api.example.com", DnsType::a, "ask api.example.com"},
      {"", DnsType::a, "ask "},
      // The first try of a resolver with ndots:5.
      {"world.default.svc.cluster.local", DnsType::a, "A 10.96.0.7"},
      {"other.prod.default.svc.cluster.local", DnsType::a, "A 10.96.0.9"},
      {"api.example.com.default.svc.cluster.local", DnsType::a,
       "CNAME api.example.com; ask api.example.com"},
      {"api.example.com.default.svc.cluster.local", DnsType::srv, "NXDOMAIN"},
      {"api.example.com.svc.cluster.local", DnsType::a, "NXDOMAIN"},
      {"nosuch.default.svc.cluster.local", DnsType::a, "NXDOMAIN"},
      {"nosuch.prod.svc.cluster.local.default.svc.cluster.local", DnsType::a, "NXDOMAIN"},
  };
  expect_rows(rows, search);
}

TEST(DnsRecordsTest, leaves_the_walk_to_the_client_where_a_domain_is_not_ours) {
  const std::vector<std::string> with_corp = {search[0], "corp.example"};
  const Row rows[] = {
      {"api.example.com.default.svc.cluster.local", DnsType::a, "NXDOMAIN"},
      {"world", DnsType::a, "A 10.96.0.7"},
  };
  expect_rows(rows, with_corp);
}

TEST(DnsRecordsTest, srv_answers_bring_the_addresses_of_their_targets) {
  SnapshotPtr snapshot = small_mesh();
  DnsAnswer answer =
      resolve(*snapshot, {.name = "_pg._tcp.db.default.svc.cluster.local", .type = DnsType::srv});
  ASSERT_EQ(answer.additionals.size(), 2U);
  EXPECT_EQ(answer.additionals[0].name, "db-0.db.default.svc.cluster.local");
  EXPECT_EQ(to_text(answer.additionals[1]), "A 10.244.0.5");
}

}  // namespace
}  // namespace tulle::mesh
