#include "compile/compiler.h"

#include "mesh/route.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tulle::compile {
namespace {

using namespace std::chrono_literals;
using mesh::ObjectNameView;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

boost::json::object parse(std::string_view text) {
  boost::json::error_code error;
  auto value = boost::json::parse({text.data(), text.size()}, error);
  EXPECT_FALSE(error) << text;
  return value.as_object();
}

// Feeds a Compiler in the words of manifests, all in namespace default.
class CompilerTest : public ::testing::Test {
 protected:
  explicit CompilerTest(Place here = {}) : compiler({}, std::move(here)) {}

  void service(std::string_view name, std::string_view spec, std::string_view extra = "") {
    put(Kind::service, name, "", extra, spec);
  }
  // `body`: what stands beside metadata.
  void slice(std::string_view name, std::string_view of, std::string_view body) {
    std::string metadata = R"("labels": {"kubernetes.io/service-name": ")";
    metadata += std::string(of) + "\"}";
    put(Kind::endpoint_slice, name, metadata, body, "{}");
  }
  void pod(std::string_view name, std::string_view address, std::string_view annotations = "{}",
           std::string_view spec = "{}") {
    put(Kind::pod, name, R"("uid": "u", "annotations": )" + std::string(annotations),
        R"("status": {"phase": "Running", "podIP": ")" + std::string(address) + "\"}", spec);
  }
  void ingress(std::string_view name, std::string_view spec, std::string_view metadata = "") {
    put(Kind::ingress, name, metadata, "", spec);
  }

  void put(Kind kind, std::string_view name, std::string_view metadata, std::string_view extra,
           std::string_view spec) {
    std::string text = R"({"metadata": {"namespace": "default", "name": ")" + std::string(name) +
                       "\"" + (metadata.empty() ? "" : ", ") + std::string(metadata) + "}" +
                       (extra.empty() ? "" : ", ") + std::string(extra) +
                       ", \"spec\": " + std::string(spec) + "}";
    compiler.upsert(kind, parse(text));
  }
  void put_class(std::string_view text) { compiler.upsert(Kind::ingress_class, parse(text)); }

  mesh::SnapshotPtr build() { return snapshot = compiler.build(); }
  const mesh::Service& built(std::string_view name) {
    const mesh::Service* found = build()->service(ObjectNameView{"default", name});
    EXPECT_NE(found, nullptr) << name;
    return *found;
  }
  // "10.244.0.1:8081 ready *1 default/world-1" for every endpoint of a port.
  static std::vector<std::string> endpoints(const mesh::ServicePort& port) {
    std::vector<std::string> lines;
    lines.reserve(port.endpoints.size());
    for (const mesh::Endpoint& e : port.endpoints) {
      lines.push_back(e.address.to_string() + " " + std::string(to_string(e.health)) + " *" +
                      std::to_string(e.weight) + " " + e.workload.to_string());
    }
    return lines;
  }
  std::vector<std::string> problems() const {
    std::vector<std::string> lines;
    for (const Problem& p : compiler.problems()) {
      lines.push_back(std::string(to_string(p.kind)) + " " + p.object.to_string() + ": " + p.text);
    }
    return lines;
  }
  std::string ingress_backend(std::string_view host, std::string_view path) {
    build();
    auto decision =
        route(*snapshot, {.listener = mesh::ListenerKind::ingress, .host = host, .path = path});
    return decision.port ? decision.service->name.name : std::string(to_string(decision.reason));
  }

  Compiler compiler;
  mesh::SnapshotPtr snapshot;
};

constexpr std::string_view world_spec =
    R"({"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "ports": [{"port": 80,
        "protocol": "TCP", "targetPort": 8081}]})";
constexpr std::string_view world_slice = R"("ports": [{"name": "", "port": 8081,
    "protocol": "TCP"}], "endpoints": [
    {"addresses": ["10.244.0.2"], "conditions": {"ready": true, "serving": true},
     "targetRef": {"kind": "Pod", "name": "world-2"}, "nodeName": "here"},
    {"addresses": ["10.244.0.1"], "targetRef": {"kind": "Pod", "name": "world-1"}},
    {"addresses": ["10.244.0.3"], "conditions": {"ready": false}},
    {"addresses": ["10.244.0.4"], "conditions": {"ready": false, "serving": true,
     "terminating": true}}])";

TEST_F(CompilerTest, joins_services_slices_and_pods_in_any_order) {
  slice("world-abc", "world", world_slice);
  pod("world-1", "10.244.0.1", R"({"tulle.dev/weight": "5"})");
  EXPECT_EQ(build()->service_count(), 0U);
  service("world", world_spec);
  const mesh::Service& world = built("world");
  EXPECT_THAT(endpoints(world.ports[0]),
              ElementsAre("10.244.0.1:8081 ready *5 default/world-1",
                          "10.244.0.2:8081 ready *1 default/world-2",
                          "10.244.0.4:8081 draining *1 /", "10.244.0.3:8081 not ready *1 /"));
  EXPECT_EQ(world.ports[0].pickable_count, 2U);
  EXPECT_EQ(snapshot->service_by_address(*IpAddress::parse("10.96.0.7")), &world);
  EXPECT_EQ(world.ports[0].endpoints[1].node, "here");
  EXPECT_EQ(world.load_balancing, mesh::LoadBalancing::least_request);
  EXPECT_FALSE(world.client_affinity_timeout);

  pod("world-2", "10.244.0.2", R"({"tulle.dev/weight": "7"})");
  EXPECT_EQ(built("world").ports[0].endpoints[1].weight, 7) << "a weight alone changed";
  compiler.remove(Kind::endpoint_slice, {"default", "world-abc"});
  EXPECT_THAT(built("world").ports[0].endpoints, IsEmpty());
  compiler.remove(Kind::service, {"default", "world"});
  EXPECT_EQ(build()->service_count(), 0U);
}

TEST_F(CompilerTest, an_endpoint_in_two_slices_counts_once_and_as_the_healthier) {
  service("world", world_spec);
  auto one = [](bool ready) {
    return std::string(R"("ports": [{"port": 1}], "endpoints": [{"addresses": ["10.244.0.1"],
        "conditions": {"ready": )") +
           (ready ? "true" : "false") + "}}]";
  };
  slice("a", "world", one(false));
  slice("b", "world", one(true));
  EXPECT_THAT(endpoints(built("world").ports[0]), ElementsAre("10.244.0.1:1 ready *1 /"));
  EXPECT_EQ(built("world").hosts.size(), 1U);
  slice("b", "elsewhere", one(true));
  EXPECT_THAT(endpoints(built("world").ports[0]), ElementsAre("10.244.0.1:1 not ready *1 /"));
}

TEST_F(CompilerTest, ports_join_by_name_and_transport_and_named_targets_may_differ_by_slice) {
  service("dns", R"({"clusterIP": "10.96.0.8", "ports": [
      {"name": "dns", "port": 53, "protocol": "UDP"},
      {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
      {"name": "metrics", "port": 9153, "appProtocol": "http"}]})");
  slice("old", "dns", R"("ports": [{"name": "dns", "port": 53, "protocol": "UDP"},
      {"name": "metrics", "port": 9153}], "endpoints": [{"addresses": ["10.244.0.1"]}])");
  slice("new", "dns", R"("ports": [{"name": "dns", "port": 5353, "protocol": "UDP"},
      {"name": "gone", "port": 1}], "endpoints": [{"addresses": ["10.244.0.2"]}])");
  const mesh::Service& dns = built("dns");
  const auto* udp = dns.find_port(53, mesh::Transport::udp);
  EXPECT_THAT(endpoints(*udp),
              ElementsAre("10.244.0.1:53 ready *1 /", "10.244.0.2:5353 ready *1 /"));
  EXPECT_THAT(dns.find_port(53, mesh::Transport::tcp)->endpoints, IsEmpty());
  EXPECT_EQ(dns.find_port("metrics")->protocol, mesh::ProtocolHint::http);
  EXPECT_EQ(dns.find_port("metrics")->endpoints.size(), 1U);
}

TEST_F(CompilerTest, reads_what_a_port_speaks_from_its_protocol_then_from_its_name) {
  service("ports", R"({"clusterIP": "10.96.0.9", "ports": [
      {"name": "a", "port": 1, "appProtocol": "kubernetes.io/h2c"},
      {"name": "b", "port": 2, "appProtocol": "grpc"},
      {"name": "grpc-api", "port": 3},
      {"name": "http2", "port": 4},
      {"name": "tcp-raw", "port": 5},
      {"name": "grpcx", "port": 6},
      {"name": "grpc-over-tls", "port": 7, "appProtocol": "https"}]})");
  const mesh::Service& ports = built("ports");
  using Hint = mesh::ProtocolHint;
  const std::vector<Hint> expected = {Hint::http2, Hint::http2,  Hint::http2, Hint::http2,
                                      Hint::tcp,   Hint::detect, Hint::tcp};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto number = static_cast<std::uint16_t>(i + 1);
    EXPECT_EQ(ports.find_port(number, mesh::Transport::tcp)->protocol, expected[i]) << number;
  }
}

TEST_F(CompilerTest, reads_types_doors_affinity_and_policy) {
  compiler.upsert(Kind::service, parse(R"({"metadata": {"namespace": "default", "name": "web",
      "annotations": {"tulle.dev/load-balancing": "RoundRobin"}},
      "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.9", "sessionAffinity": "ClientIP",
        "ports": [{"port": 80, "nodePort": 30080}]},
      "status": {"loadBalancer": {"ingress": [{"ip": "127.1.0.1"}, {"hostname": "x"}]}}})"));
  const mesh::Service& web = built("web");
  EXPECT_EQ(web.load_balancing, mesh::LoadBalancing::round_robin);
  EXPECT_EQ(web.client_affinity_timeout, std::chrono::seconds(10800));
  ASSERT_EQ(snapshot->doors()->size(), 2U);
  EXPECT_EQ(snapshot->doors()->at(0).address.to_string(), "0.0.0.0:30080");
  EXPECT_EQ(snapshot->doors()->at(1).address.to_string(), "127.1.0.1:80");

  service("plain", R"({"type": "ClusterIP", "clusterIP": "10.96.0.10",
      "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
      "ports": [{"port": 80, "nodePort": 30081}]})");
  EXPECT_EQ(built("plain").client_affinity_timeout, std::chrono::seconds(60));
  EXPECT_EQ(snapshot->doors()->size(), 2U) << "a node port left over from another type";

  service("away", R"({"type": "ExternalName", "externalName": "API.Example.com."})");
  EXPECT_EQ(built("away").external_name, "api.example.com");
  EXPECT_FALSE(built("away").headless);
}

TEST_F(CompilerTest, headless_services_publish_ready_hosts_or_all_when_told) {
  auto spec = [](bool all) {
    return std::string(R"({"clusterIP": "None", "publishNotReadyAddresses": )") +
           (all ? "true" : "false") + "}";
  };
  slice("db-1", "db", R"("ports": null, "endpoints": [
      {"addresses": ["10.244.0.5"], "hostname": "db-1", "conditions": {"ready": false}},
      {"addresses": ["10.244.0.4"], "hostname": "db-0"}])");
  service("db", spec(false));
  EXPECT_TRUE(built("db").headless);
  ASSERT_EQ(built("db").hosts.size(), 2U);
  EXPECT_EQ(built("db").hosts[0].hostname, "db-0");
  EXPECT_TRUE(built("db").hosts[0].published);
  EXPECT_FALSE(built("db").hosts[1].published);
  service("db", spec(true));
  EXPECT_TRUE(built("db").hosts[1].published);
}

TEST_F(CompilerTest, pods_become_workloads_while_they_have_an_address_of_their_own) {
  pod("db-0", "10.244.0.4", "{}",
      R"({"hostname": "db-0", "subdomain": "db", "serviceAccountName": "sa", "nodeName": "n",
          "dnsConfig": {"searches": ["corp.example."]}})");
  pod("plain", "10.244.0.5");
  pod("node-agent", "192.168.0.1", "{}", R"({"hostNetwork": true})");
  put(Kind::pod, "done", "", R"("status": {"phase": "Succeeded", "podIP": "10.244.0.6"})", "{}");
  build();
  const mesh::Workload* db = snapshot->workload_by_address(*IpAddress::parse("10.244.0.4"));
  ASSERT_NE(db, nullptr);
  EXPECT_EQ(db->hostname, "db-0");
  EXPECT_EQ(db->service_account, "sa");
  EXPECT_THAT(db->search_domains, ElementsAre("default.svc.cluster.local", "svc.cluster.local",
                                              "cluster.local", "corp.example"));
  EXPECT_EQ(snapshot->workload(ObjectNameView{"default", "plain"})->hostname, "plain");
  EXPECT_EQ(snapshot->workload_by_address(*IpAddress::parse("192.168.0.1")), nullptr);
  EXPECT_EQ(snapshot->workload_by_address(*IpAddress::parse("10.244.0.6")), nullptr);
  const mesh::Workload* agent = snapshot->workload(ObjectNameView{"default", "node-agent"});
  EXPECT_THAT(agent->search_domains, IsEmpty());
  compiler.remove(Kind::pod, {"default", "db-0"});
  EXPECT_EQ(build()->workload_by_address(*IpAddress::parse("10.244.0.4")), nullptr);
}

TEST_F(CompilerTest, what_did_not_change_is_the_same_snapshot_or_the_same_service) {
  service("world", world_spec);
  service("hello", R"({"clusterIP": "10.96.0.8", "ports": [{"port": 80}]})");
  pod("world-1", "10.244.0.1");
  mesh::SnapshotPtr first = build();
  EXPECT_EQ(build(), first);
  pod("world-1", "10.244.0.1");
  EXPECT_EQ(build(), first) << "a change of status that means nothing to the mesh";
  slice("world-abc", "world", world_slice);
  mesh::SnapshotPtr second = build();
  EXPECT_NE(second, first);
  EXPECT_EQ(second->service(ObjectNameView{"default", "hello"}),
            first->service(ObjectNameView{"default", "hello"}));
}

constexpr std::string_view world_everywhere = R"({"rules": [{"http": {"paths": [
    {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "world",
     "port": {"number": 80}}}}]}}]})";

TEST_F(CompilerTest, ingresses_are_ours_by_class_annotation_or_default) {
  service("world", world_spec);
  struct Row {
    std::string_view metadata;
    std::string_view ingress_class;  // of the spec
    std::string_view classes;        // IngressClass documents
    bool ours;
  };
  const std::string_view our_default = R"({"metadata": {"name": "mesh", "annotations":
      {"ingressclass.kubernetes.io/is-default-class": "true"}},
      "spec": {"controller": "tulle.dev/ingress-controller"}})";
  const std::string_view foreign_default = R"({"metadata": {"name": "mesh", "annotations":
      {"ingressclass.kubernetes.io/is-default-class": "true"}},
      "spec": {"controller": "k8s.io/ingress-nginx"}})";
  const Row rows[] = {
      {"", "tulle", "", true},
      {"", "nginx", "", false},
      {"", "", "", false},
      {R"("annotations": {"kubernetes.io/ingress.class": "tulle"})", "", "", true},
      {R"("annotations": {"kubernetes.io/ingress.class": "nginx"})", "", our_default, false},
      {"", "", our_default, true},
      {"", "", foreign_default, false},
      {"", "mesh", our_default, true},
      {"", "mesh", foreign_default, false},
  };
  for (const Row& row : rows) {
    compiler.remove(Kind::ingress_class, {"", "mesh"});
    std::string spec(world_everywhere);
    if (!row.ingress_class.empty()) {
      spec.insert(1, R"("ingressClassName": ")" + std::string(row.ingress_class) + "\", ");
    }
    ingress("i", spec, row.metadata);
    if (!row.classes.empty()) put_class(row.classes);
    EXPECT_EQ(ingress_backend("any", "/"), row.ours ? "world" : "no_ingress_rule")
        << row.metadata << row.ingress_class << row.classes;
  }
}

TEST_F(CompilerTest, ingress_backends_go_by_port_name_or_number_and_the_oldest_rule_holds) {
  service("world", R"({"clusterIP": "10.96.0.7", "ports": [{"name": "web", "port": 80}]})");
  service("hello", R"({"clusterIP": "10.96.0.8", "ports": [{"name": "web", "port": 80}]})");
  auto spec = [](std::string_view backend, std::string_view port) {
    return R"({"ingressClassName": "tulle", "rules": [{"host": "a.b", "http": {"paths": [
        {"path": "/x", "pathType": "Exact", "backend": {"service": {"name": ")" +
           std::string(backend) + R"(", "port": )" + std::string(port) + "}}}]}}]}";
  };
  ingress("a-young", spec("hello", R"({"number": 80})"),
          R"("creationTimestamp": "2025-02-01T00:00:00Z")");
  EXPECT_EQ(ingress_backend("a.b", "/x"), "hello");
  ingress("z-old", spec("world", R"({"name": "web"})"),
          R"("creationTimestamp": "2025-01-01T00:00:00Z")");
  EXPECT_EQ(ingress_backend("a.b", "/x"), "world");
  EXPECT_EQ(ingress_backend("a.b", "/x/y"), "no_ingress_rule");
  EXPECT_THAT(problems(), ElementsAre("Ingress default/a-young: host \"a.b\" path \"/x\": an older "
                                      "rule for the same host and path stays; left out"));
  ingress("z-old", spec("world", R"({"name": "nope"})"));
  EXPECT_EQ(ingress_backend("a.b", "/x"), "no_ingress_backend");
  ingress("z-old", R"({"ingressClassName": "tulle", "defaultBackend": {"service":
      {"name": "world", "port": {"number": 80}}}})");
  EXPECT_EQ(ingress_backend("else", "/"), "world");
  EXPECT_EQ(ingress_backend("a.b", "/x"), "hello");
  EXPECT_THAT(problems(), IsEmpty());
}

TEST_F(CompilerTest, wrong_input_takes_its_default_and_is_reported_until_it_is_mended) {
  put(Kind::service, "s", R"("annotations": {"tulle.dev/load-balancing": "Fastest"})", "",
      R"({"clusterIP": "10.96.0.7", "ports": [{"port": 70000}, {"port": 5, "protocol": "SCTP"},
          {"port": 80}, 7]})");
  for (std::string_view weight : {"0", "1001", "-1", "1.5", "x", "70000"}) {
    pod("p", "10.244.0.1", R"({"tulle.dev/weight": ")" + std::string(weight) + "\"}");
  }
  slice("e", "s", R"("ports": [{"port": 1}], "endpoints": [{"addresses": ["fe80::x"]},
      {"addresses": []}, {"addresses": [7]}, {}, 7])");
  ingress("i", R"({"ingressClassName": "tulle", "defaultBackend": {"resource": {}}, "rules": [
      {"host": "h", "http": {"paths": [{"path": "rel", "backend": {}}]}}, {"host": "h"}, 3]})");
  EXPECT_EQ(built("s").ports.size(), 1U);
  EXPECT_EQ(built("s").load_balancing, mesh::LoadBalancing::least_request);
  EXPECT_THAT(
      problems(),
      ElementsAre("Service default/s: annotation tulle.dev/load-balancing: \"Fastest\" is none of "
                  "LeastRequest, RoundRobin, Random, PeakEwma; using LeastRequest",
                  "Service default/s: port 0/TCP is not supported and left out",
                  "Service default/s: port 5/SCTP is not supported and left out",
                  "Service default/s: port 70000/TCP is not supported and left out",
                  "EndpointSlice default/e: endpoint \"\" is not an IP address; left out",
                  "EndpointSlice default/e: endpoint \"\" is not an IP address; left out",
                  "EndpointSlice default/e: endpoint \"\" is not an IP address; left out",
                  "EndpointSlice default/e: endpoint \"\" is not an IP address; left out",
                  "EndpointSlice default/e: endpoint \"fe80::x\" is not an IP address; left out",
                  "Pod default/p: annotation tulle.dev/weight: \"70000\" is not a number from 1 to "
                  "1000; using 1",
                  "Ingress default/i: host \"h\" path \"rel\": needs an absolute path and a "
                  "backend that is a service with a port; left out",
                  "Ingress default/i: the default backend is not a service with a port; left out"));
  service("s", world_spec);
  pod("p", "10.244.0.1");
  compiler.remove(Kind::endpoint_slice, {"default", "e"});
  compiler.remove(Kind::ingress, {"default", "i"});
  EXPECT_THAT(problems(), IsEmpty());
}

// --- TLS
// ------------------------------------------------------------------------------------------

// "host: secret" or "host: → service" of the names that are asked for.
class TlsCompilerTest : public CompilerTest {
 protected:
  TlsCompilerTest() { put_class(R"({"metadata": {"name": "tulle"}})"); }
  void secret(std::string_view name, std::string_view data) {
    put(Kind::secret, name, "", R"("type": "kubernetes.io/tls", "data": )" + std::string(data),
        "{}");
  }
  void tls_ingress(std::string_view name, std::string_view tls, std::string_view metadata = "") {
    ingress(name,
            R"({"ingressClassName": "tulle", "tls": )" + std::string(tls) +
                R"(, "rules": [{"host": "shop.example", "http": {"paths": [
            {"path": "/", "backend": {"service": {"name": "s", "port": {"number": 443}}}},
            {"path": "/x", "backend": {"service": {"name": "t", "port": {"number": 1}}}}]}}]})",
            metadata);
  }
  std::string found(std::string_view name) {
    const mesh::TlsHost* host = build()->tls()->find(name);
    if (host == nullptr) return "nobody";
    return host->certificate ? host->certificate->secret + " " + host->certificate->chain_pem
                             : "passed to " + host->backend.service.name;
  }
};

constexpr std::string_view chain_and_key = R"({"tls.crt": "Q0hBSU4=", "tls.key": "S0VZ"})";

TEST_F(TlsCompilerTest, hosts_have_the_certificate_of_their_secret) {
  tls_ingress("i", R"([{"hosts": ["Shop.Example", "*.wild.example"], "secretName": "cert"}])");
  EXPECT_EQ(found("shop.example"), "nobody");
  EXPECT_THAT(problems(), ElementsAre("Ingress default/i: tls: there is no secret \"cert\" with "
                                      "tls.crt and tls.key; its hosts are not served over TLS"));
  secret("cert", chain_and_key);
  EXPECT_EQ(found("shop.example"), "default/cert CHAIN");
  EXPECT_EQ(found("a.wild.example"), "default/cert CHAIN");
  EXPECT_EQ(found("a.b.wild.example"), "nobody") << "a wildcard is one label";
  EXPECT_EQ(found("wild.example"), "nobody");
  EXPECT_THAT(problems(), IsEmpty());
  secret("cert", R"({"tls.crt": "TkVX", "tls.key": "S0VZ"})");
  EXPECT_EQ(found("shop.example"), "default/cert NEW");
  compiler.remove(Kind::secret, {"default", "cert"});
  EXPECT_EQ(found("shop.example"), "nobody");
}

TEST_F(TlsCompilerTest, without_hosts_it_is_for_those_of_the_rules) {
  tls_ingress("i", R"([{"secretName": "cert"}])");
  secret("cert", chain_and_key);
  EXPECT_EQ(found("shop.example"), "default/cert CHAIN");
}

TEST_F(TlsCompilerTest, a_secret_of_a_file_may_be_plain_text) {
  tls_ingress("i", R"([{"secretName": "cert"}])");
  put(Kind::secret, "cert", "", R"("stringData": {"tls.crt": "PLAIN", "tls.key": "KEY"})", "{}");
  EXPECT_EQ(found("shop.example"), "default/cert PLAIN");
}

TEST_F(TlsCompilerTest, other_secrets_and_changes_make_no_new_table) {
  tls_ingress("i", R"([{"secretName": "cert"}])");
  secret("cert", chain_and_key);
  const auto before = build()->tls();
  secret("password", R"({"password": "eA=="})");
  secret("cert", chain_and_key);
  tls_ingress("i", R"([{"secretName": "cert"}])", R"("labels": {"a": "b"})");
  EXPECT_EQ(build()->tls(), before);
}

TEST_F(TlsCompilerTest, tls_is_passed_through_by_annotation) {
  tls_ingress("i", "[]", R"("annotations": {"tulle.dev/tls-passthrough": "true"})");
  EXPECT_EQ(found("shop.example"), "passed to s");
  EXPECT_THAT(problems(), IsEmpty());
}

// --- TrafficPolicy -------------------------------------------------------------------------------

class PolicyCompilerTest : public CompilerTest {
 protected:
  PolicyCompilerTest() {
    service("world", world_spec);
    service("other", world_spec);
  }
  void policy(std::string_view name, std::string_view spec, std::string_view created = "") {
    put(Kind::traffic_policy, name,
        created.empty() ? "" : R"("creationTimestamp": ")" + std::string(created) + "\"", "", spec);
  }
  // A policy for service world, with this beside its target.
  void world_policy(std::string_view rest) {
    policy("p",
           R"({"targetRefs": [{"kind": "Service", "name": "world"}], )" + std::string(rest) + "}");
  }
  std::string in_force(std::string_view service_name) {
    return built(service_name).the_policy().name;
  }
};

TEST_F(PolicyCompilerTest, every_field_is_read) {
  world_policy(R"(
      "loadBalancing": {"policy": "RingHash", "hashOn": {"type": "Header", "name": "X-User"},
                        "boundedLoadPercent": 150},
      "sessionPersistence": {"type": "Cookie", "sessionName": "s", "absoluteTimeout": "90m"},
      "outlierDetection": {"consecutiveFailures": 1, "consecutiveGatewayErrors": 2,
          "consecutiveConnectErrors": 3, "failurePercent": 4, "latencyPercent": 500,
          "interval": "6s", "minRequests": 7, "ejectionTime": "8s", "maxEjectionTime": "9s",
          "maxEjectedPercent": 10, "panicPercent": 11},
      "circuitBreaking": {"maxRequests": 12, "maxRequestsPerEndpoint": 13,
          "maxConnectionsPerEndpoint": 27, "maxPendingRequests": 14, "pendingTimeout": "15ms"},
      "timeouts": {"request": "16s", "perTry": "17s", "connect": "18s", "idle": "19s",
          "stream": "20s", "maxConnectionAge": "21s"},
      "retry": {"attempts": 2, "codes": [503, 502], "backoff": "23ms", "maxBackoff": "24ms"},
      "retryBudget": {"percent": 25, "minPerSecond": 26},
      "hedging": {"percentile": 97},
      "healthCheck": {"http": {"path": "/up", "host": "h"}, "interval": "98s", "timeout": "99ms",
          "healthyThreshold": 4, "unhealthyThreshold": 5})");
  const mesh::Service& world = built("world");
  EXPECT_THAT(problems(), IsEmpty());
  EXPECT_EQ(world.load_balancing, mesh::LoadBalancing::ring_hash);
  const mesh::Policy expected{
      .name = "default/p",
      .load_balancing = mesh::LoadBalancing::ring_hash,
      .hash_on = mesh::HashOn{.type = mesh::HashOn::Type::header, .name = "X-User"},
      .bounded_load_percent = 150,
      .session = mesh::SessionPersistence{.name = "s", .cookie_age = 90min},
      .outlier = {.consecutive_failures = 1,
                  .consecutive_gateway_errors = 2,
                  .consecutive_connect_errors = 3,
                  .failure_percent = 4,
                  .latency_percent = 500,
                  .interval = 6s,
                  .requests_min = 7,
                  .ejection_time = 8s,
                  .ejection_time_max = 9s,
                  .ejected_percent_max = 10,
                  .panic_percent = 11,
                  .heeds_retry_after = true},
      .circuit_breaking = {.requests_max = 12,
                           .requests_per_endpoint_max = 13,
                           .connections_per_endpoint_max = 27,
                           .pending_max = 14,
                           .pending_timeout = 15ms},
      .timeouts = {.request = 16s,
                   .per_try = 17s,
                   .connect = 18s,
                   .idle = 19s,
                   .stream = 20s,
                   .connection_age_max = 21s},
      .retry = {.attempts = 2, .codes = {503, 502}, .backoff = 23ms, .backoff_max = 24ms},
      .retry_budget = {.percent = 25, .per_second_min = 26},
      .hedging_percentile = 97,
      .health_check = mesh::HealthCheck{.type = mesh::HealthCheck::Type::http,
                                        .path = "/up",
                                        .host = "h",
                                        .interval = 98s,
                                        .timeout = 99ms,
                                        .healthy_threshold = 4,
                                        .unhealthy_threshold = 5}};
  EXPECT_EQ(world.the_policy(), expected);
  EXPECT_EQ(built("other").policy, nullptr);
}

TEST_F(PolicyCompilerTest, what_a_policy_leaves_out_is_as_without_one) {
  world_policy(R"("timeouts": {})");
  mesh::Policy read = built("world").the_policy();
  EXPECT_EQ(read.name, "default/p");
  read.name.clear();
  EXPECT_EQ(read, mesh::Policy::none());
  put(Kind::service, "world", R"("annotations": {"tulle.dev/load-balancing": "PeakEwma"})", "",
      world_spec);
  EXPECT_EQ(built("world").load_balancing, mesh::LoadBalancing::peak_ewma) << "the annotation's";
  world_policy(R"("loadBalancing": {"policy": "Random"})");
  EXPECT_EQ(built("world").load_balancing, mesh::LoadBalancing::random) << "the policy's";
}

TEST_F(PolicyCompilerTest, of_several_the_oldest_holds) {
  constexpr std::string_view both =
      R"({"targetRefs": [{"kind": "Service", "name": "world"},
                         {"kind": "Service", "name": "other"}]})";
  policy("young", both, "2026-01-02T00:00:00Z");
  EXPECT_EQ(in_force("world"), "default/young");
  EXPECT_EQ(in_force("other"), "default/young");
  policy("old", R"({"targetRefs": [{"kind": "Service", "name": "world"}]})",
         "2026-01-01T00:00:00Z");
  EXPECT_EQ(in_force("world"), "default/old");
  EXPECT_EQ(in_force("other"), "default/young");
  compiler.remove(Kind::traffic_policy, {"default", "old"});
  EXPECT_EQ(in_force("world"), "default/young");
  policy("young", R"({"targetRefs": [{"kind": "Service", "name": "other"}]})",
         "2026-01-02T00:00:00Z");
  EXPECT_EQ(in_force("world"), "") << "it is for another service now";
}

TEST_F(PolicyCompilerTest, one_that_cannot_be_followed_leaves_what_it_said_before) {
  world_policy(R"("retry": {"attempts": 1}, "loadBalancing": {"policy": "Fastest"})");
  EXPECT_EQ(in_force("world"), "");
  EXPECT_THAT(
      problems(),
      ElementsAre("TrafficPolicy default/p: it is not followed",
                  "TrafficPolicy default/p: spec.loadBalancing.policy: Unsupported value: "
                  "\"Fastest\": supported values: \"LeastRequest\", \"Maglev\", \"PeakEwma\", "
                  "\"Random\", \"RingHash\", \"RoundRobin\""));
  world_policy(R"("retry": {"attempts": 1})");
  EXPECT_EQ(in_force("world"), "default/p");
  world_policy(R"("retry": {"attempts": "many"})");
  EXPECT_EQ(built("world").the_policy().retry.attempts, 1U);
  EXPECT_THAT(problems(),
              ::testing::Contains("TrafficPolicy default/p: what it said before stays"));
}

TEST_F(PolicyCompilerTest, a_status_alone_makes_no_new_snapshot) {
  const auto feed = [this](std::string_view status) {
    put(Kind::traffic_policy, "p", "", R"("status": )" + std::string(status),
        R"({"targetRefs": [{"kind": "Service", "name": "world"}]})");
  };
  feed("{}");
  const auto before = build();
  feed(R"({"observedGeneration": 1})");
  EXPECT_EQ(build(), before);
}

// Three endpoints: on this node, in this zone, and in another. `hints`: of each.
std::string spread(const std::array<std::string_view, 3>& hints, std::string_view ready = "true") {
  std::string text = R"("ports": [{"name": "", "port": 8081, "protocol": "TCP"}], "endpoints": [)";
  constexpr std::array<std::string_view, 3> places{R"("nodeName": "n1", "zone": "a")",
                                                   R"("nodeName": "n2", "zone": "a")",
                                                   R"("nodeName": "n3", "zone": "b")"};
  for (std::size_t i = 0; i < places.size(); ++i) {
    text += std::string(i == 0 ? "" : ", ") + R"({"addresses": ["10.244.0.)" +
            std::to_string(i + 1) + R"("], "conditions": {"ready": )" + std::string(ready) +
            R"(, "serving": true, "terminating": )" + (ready == "true" ? "false" : "true") + "}, " +
            std::string(places[i]) +
            (hints[i].empty() ? "" : R"(, "hints": )" + std::string(hints[i])) + "}";
  }
  return text + "]";
}

class NearnessTest : public CompilerTest {
 protected:
  NearnessTest() : CompilerTest({.node = "n1"}) {
    put(Kind::node, "n1", R"("labels": {"topology.kubernetes.io/zone": "a"})", "", "{}");
  }
  void serve(std::string_view preference) {
    service("world", R"({"clusterIP": "10.96.0.7", "ports": [{"port": 80, "protocol": "TCP"}])" +
                         (preference.empty()
                              ? std::string()
                              : R"(, "trafficDistribution": ")" + std::string(preference) + "\"") +
                         "}");
  }
  // The last numbers of the endpoints' addresses, nearest first: "1 2|3".
  std::string tiers() {
    const mesh::ServicePort& port = built("world").ports[0];
    std::string text;
    for (const mesh::Tier& tier : port.tiers) {
      if (!text.empty()) text += "|";
      for (const mesh::Endpoint& endpoint : port.members(tier)) {
        if (!text.empty() && text.back() != '|') text += " ";
        text += std::to_string(endpoint.address.ip.bytes()[3]);
      }
    }
    return text;
  }
};

TEST_F(NearnessTest, goes_by_hints_where_all_have_one_and_else_by_what_the_service_prefers) {
  constexpr std::string_view a = R"({"forZones": [{"name": "a"}]})";
  constexpr std::string_view b = R"({"forZones": [{"name": "b"}]})";
  constexpr std::string_view n1 = R"({"forZones": [{"name": "a"}], "forNodes": [{"name": "n1"}]})";
  struct Row {
    std::string_view preference;
    std::array<std::string_view, 3> hints;
    std::string_view ready;
    std::string_view tiers;
  };
  const std::vector<Row> rows = {
      {"", {}, "true", "1 2 3"},
      {"PreferSameZone", {}, "true", "1 2|3"},
      {"PreferClose", {}, "true", "1 2|3"},
      {"PreferSameNode", {}, "true", "1|2|3"},
      {"PreferSameZone", {}, "false", "1 2|3"},  // all are draining
      {"", {b, a, a}, "true", "2 3|1"},
      {"", {n1, a, b}, "true", "1|2|3"},
      {"PreferSameNode", {a, a, b}, "true", "1 2|3"},
      {"", {a, "", b}, "true", "1 2 3"},
      {"PreferSameZone", {b, "", b}, "true", "1 2|3"},
      {"", {b, b, b}, "true", "1 2 3"},  // none is for this zone
  };
  for (const Row& row : rows) {
    serve(row.preference);
    slice("world-1", "world", spread(row.hints, row.ready));
    EXPECT_EQ(tiers(), row.tiers) << row.preference << " " << row.hints[0];
  }
  EXPECT_THAT(problems(), ::testing::IsEmpty());
}

TEST_F(NearnessTest, follows_the_zone_of_the_node) {
  serve("PreferSameZone");
  slice("world-1", "world", spread({}));
  EXPECT_EQ(tiers(), "1 2|3");
  put(Kind::node, "n9", R"("labels": {"topology.kubernetes.io/zone": "b"})", "", "{}");
  EXPECT_EQ(tiers(), "1 2|3") << "another node";
  put(Kind::node, "n1", R"("labels": {"topology.kubernetes.io/zone": "b"})", "", "{}");
  EXPECT_EQ(tiers(), "1 3|2") << "the node itself is near, whatever its slice says";
  compiler.remove(Kind::node, {.namespace_name = "default", .name = "n1"});
  EXPECT_EQ(tiers(), "1|2 3");
}

TEST_F(NearnessTest, priority_holds_before_nearness) {
  serve("PreferSameZone");
  slice("world-1", "world", spread({}));
  put(Kind::endpoint_slice, "backup",
      R"("labels": {"kubernetes.io/service-name": "world"},
         "annotations": {"tulle.dev/priority": "1"})",
      R"("ports": [{"name": "", "port": 8081, "protocol": "TCP"}], "endpoints": [
         {"addresses": ["10.244.0.9"], "zone": "a"},
         {"addresses": ["10.244.0.8"], "targetRef": {"kind": "Pod", "name": "last"}}])",
      "{}");
  EXPECT_EQ(tiers(), "1 2|3|9|8");
  pod("last", "10.244.0.8", R"({"tulle.dev/priority": "2"})");
  EXPECT_EQ(tiers(), "1 2|3|9|8");
  EXPECT_EQ(built("world").ports[0].endpoints.back().level, 8);
  pod("last", "10.244.0.8", R"({"tulle.dev/priority": "10"})");
  EXPECT_THAT(problems(), ::testing::ElementsAre(
                              "Pod default/last: annotation tulle.dev/priority: \"10\" is not a "
                              "number from 0 to 9; using 0"));
  EXPECT_EQ(built("world").ports[0].endpoints.back().level, 5) << "that of its slice";
}

TEST_F(NearnessTest, a_traffic_policy_is_local_where_it_says_so) {
  service("world",
          R"({"clusterIP": "10.96.0.7", "internalTrafficPolicy": "Cluster", "type": "NodePort",
      "externalTrafficPolicy": "Local", "ports": [{"port": 80, "protocol": "TCP"}]})");
  slice("world-1", "world", spread({}));
  const mesh::Service& world = built("world");
  EXPECT_FALSE(world.internal_local);
  EXPECT_TRUE(world.external_local);
  EXPECT_EQ(tiers(), "1 2 3");
  ASSERT_EQ(world.ports[0].local_tiers.size(), 1U);
  EXPECT_EQ(world.ports[0].local_tiers[0].size(), 1U);
}

TEST_F(NearnessTest, a_health_check_port_is_for_load_balancers_that_are_local) {
  const auto port_of = [this](std::string_view type, std::string_view policy) {
    service("world", R"({"clusterIP": "10.96.0.7", "type": ")" + std::string(type) +
                         R"(", "externalTrafficPolicy": ")" + std::string(policy) +
                         R"(", "healthCheckNodePort": 30099, "ports": [{"port": 80}]})");
    return built("world").health_check_node_port;
  };
  EXPECT_EQ(port_of("LoadBalancer", "Local"), 30099);
  EXPECT_EQ(port_of("LoadBalancer", "Cluster"), 0);
  EXPECT_EQ(port_of("NodePort", "Local"), 0);
}

class ChangeTimesTest : public CompilerTest {
 protected:
  void changed_slice(std::string_view name, std::string_view at, std::string_view address) {
    put(Kind::endpoint_slice, name,
        R"("labels": {"kubernetes.io/service-name": "web"}, "annotations": )"
        R"({"endpoints.kubernetes.io/last-change-trigger-time": ")" +
            std::string(at) + "\"}",
        R"("endpoints": [{"addresses": [")" + std::string(address) + "\"]}]", "{}");
  }
  std::vector<std::string> times() {
    build();
    std::vector<std::string> texts;
    for (const kube::Time time : compiler.change_times()) {
      texts.push_back(kube::format_micro_time(time));
    }
    return texts;
  }
};

TEST_F(ChangeTimesTest, each_build_says_once_when_the_changes_in_it_were_made) {
  service("web", R"({"ports": [{"port": 80}]})");
  EXPECT_THAT(times(), IsEmpty());
  changed_slice("a", "2030-01-02T03:04:05.123456789Z", "10.244.0.1");
  changed_slice("b", "2030-01-02T03:04:06Z", "10.244.0.2");
  EXPECT_THAT(times(), ElementsAre("2030-01-02T03:04:05.123456Z", "2030-01-02T03:04:06.000000Z"));
  EXPECT_THAT(times(), IsEmpty());
  // Two changes before one build.
  changed_slice("a", "2030-01-02T03:04:07Z", "10.244.0.1");
  changed_slice("a", "2030-01-02T03:04:08Z", "10.244.0.3");
  EXPECT_THAT(times(), ElementsAre("2030-01-02T03:04:07.000000Z", "2030-01-02T03:04:08.000000Z"));
}

TEST_F(ChangeTimesTest, a_slice_that_says_no_new_time_counts_for_nothing) {
  service("web", R"({"ports": [{"port": 80}]})");
  changed_slice("a", "2030-01-02T03:04:05Z", "10.244.0.1");
  EXPECT_EQ(times().size(), 1U);
  changed_slice("a", "2030-01-02T03:04:05Z", "10.244.0.2");
  EXPECT_THAT(times(), IsEmpty());
  changed_slice("a", "soon", "10.244.0.2");
  slice("a", "web", R"("endpoints": [])");
  EXPECT_THAT(times(), IsEmpty());
}

}  // namespace
}  // namespace tulle::compile
