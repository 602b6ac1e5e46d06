#include "proxy/explain.h"

#include "base/format.h"
#include "base/text.h"
#include "codec/url.h"
#include "mesh/dns_records.h"
#include "proxy/request_key.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace tulle::proxy {

namespace {

constexpr std::size_t kCandidatesShownMax = 32;

std::string duration_text(Duration duration) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  return ms % 1000 == 0 ? fmt::format("{}s", ms / 1000) : fmt::format("{}ms", ms);
}

std::string describe_hash(const mesh::HashOn& on) {
  using Type = mesh::HashOn::Type;
  switch (on.type) {
    case Type::client_address: return " by the client's address";
    case Type::header: return " by header " + on.name;
    case Type::cookie: return " by cookie " + on.name;
    case Type::query_parameter: return " by query parameter " + on.name;
    case Type::path: return " by path";
  }
  return "";
}

std::string line(std::string_view about, std::string_view text) {
  return fmt::format("{:<10} {}", about, text);
}

std::string candidate_line(const mesh::Endpoint& endpoint, mesh::Candidacy candidacy) {
  const std::string workload = endpoint.workload.empty() ? "" : " " + endpoint.workload.to_string();
  return line("endpoint", fmt::format("{}{}, weight {}, {} in flight: {}",
                                      endpoint.address.to_string(), workload, endpoint.weight,
                                      endpoint.state->in_flight.load(std::memory_order_relaxed),
                                      mesh::to_string(candidacy)));
}

// Who decides: what to look at, or change, when it is not what one wants.
std::string objects_line(const mesh::Decision& decision) {
  const mesh::Service& service = *decision.service;
  std::string text;
  if (!decision.rule.empty()) text += fmt::format("Ingress {}, ", decision.rule);
  text += fmt::format("Service {0}, EndpointSlices with kubernetes.io/service-name={1}",
                      service.name.to_string(), service.name.name);
  if (service.policy) text += ", TrafficPolicy " + service.policy->name;
  return line("objects", text);
}

// The address behind a name, as the pod's DNS answers it.
Result<SocketAddress> look_up(const mesh::Snapshot& snapshot, const mesh::Workload& caller,
                              const codec::HostPort& to, std::vector<std::string>& lines) {
  const std::uint16_t port = to.port.value_or(80);
  if (const auto ip = IpAddress::parse(to.host)) return SocketAddress{.ip = *ip, .port = port};
  const mesh::DnsAnswer answer =
      mesh::resolve(snapshot, {.name = to.host, .search_domains = caller.search_domains});
  for (const codec::DnsRecord& record : answer.answers) {
    const auto* a = std::get_if<codec::DnsA>(&record.data);
    if (a == nullptr) continue;
    const auto& bytes = a->address;
    const IpAddress ip = IpAddress::v4(bytes[0], bytes[1], bytes[2], bytes[3]);
    lines.push_back(line("name", fmt::format("{} is {}", to.host, ip.to_string())));
    return SocketAddress{.ip = ip, .port = port};
  }
  return failf(Code::not_found, "{} is no name of the mesh; the host's resolvers are asked for it",
               to.host);
}

// What is asked about, as the proxy sees it. Views are of `head`, or of the URL.
struct Asked {
  mesh::RouteRequest route = {};
  std::optional<codec::RequestHead> head = {};  // none: plain TCP, or UDP
  std::string host = {};
  codec::HostPort to = {};
  IpAddress client = IpAddress::v4(127, 0, 0, 1);
};

Result<void> read_url(const ImaginedRequest& imagined, Asked& asked) {
  std::string_view url = imagined.url;
  for (const auto transport : {mesh::Transport::tcp, mesh::Transport::udp}) {
    const std::string scheme = to_lower(mesh::to_string(transport)) + "://";
    if (!url.starts_with(scheme)) continue;
    TRY(asked.to, codec::parse_host_port(url.substr(scheme.size())));
    asked.route.transport = transport;
    if (asked.to.port) return {};
    return failf(Code::invalid_argument, "\"{0}\" has no port: write {1}HOST:PORT", url, scheme);
  }
  const codec::Target target = codec::split_target(url);
  if (target.authority.empty()) {
    return failf(Code::invalid_argument, "\"{}\" is no URL: write http://HOST/PATH", url);
  }
  TRY(asked.to, codec::parse_host_port(target.authority));
  codec::RequestHead& head = asked.head.emplace(
      codec::RequestHead{.method = imagined.method, .headers = imagined.headers});
  head.target = std::string(target.path);
  if (target.has_query) head.target.append("?").append(target.query);
  if (!head.headers.contains("Host")) head.headers.append("Host", target.authority);
  asked.host = *head.headers.get("Host");
  asked.route.host = asked.host;
  asked.route.path = target.path;
  asked.route.method = head.method;
  return {};
}

// As the pod `from` dials it.
Result<void> dial_from_pod(const mesh::Snapshot& snapshot, std::string_view from, Asked& asked,
                           std::vector<std::string>& lines) {
  const std::size_t slash = from.find('/');
  const bool has_namespace = slash != std::string_view::npos;
  const std::string_view space = has_namespace ? from.substr(0, slash) : "default";
  const std::string_view pod = has_namespace ? from.substr(slash + 1) : from;
  const mesh::Workload* caller = snapshot.workload(mesh::ObjectNameView{space, pod});
  if (caller == nullptr) return failf(Code::not_found, "there is no pod {}/{}", space, pod);
  TRY(asked.route.destination, look_up(snapshot, *caller, asked.to, lines));
  asked.route.listener = mesh::ListenerKind::capture;
  if (caller->address) asked.client = *caller->address;
  return {};
}

// As it comes to the host: HTTP to the Ingress, all else to a load balancer or node port.
Result<void> dial_from_outside(const mesh::Snapshot& snapshot, Asked& asked) {
  asked.route.listener = mesh::ListenerKind::ingress;
  if (asked.head) return {};
  const auto ip = IpAddress::parse(asked.to.host);
  if (!ip) {
    return fail(Code::invalid_argument,
                "outside of pods there are no names: give an address, or --from a pod");
  }
  asked.route.destination = {.ip = *ip, .port = *asked.to.port};
  const bool balanced = snapshot.door(mesh::DoorKind::load_balancer, asked.route.transport,
                                      asked.route.destination) != nullptr;
  asked.route.listener =
      balanced ? mesh::ListenerKind::load_balancer : mesh::ListenerKind::node_port;
  return {};
}

}  // namespace

std::string describe(const mesh::Policy& policy) {
  std::vector<std::string> parts;
  if (policy.load_balancing) {
    parts.push_back(std::string(mesh::to_string(*policy.load_balancing)) +
                    (policy.hash_on ? describe_hash(*policy.hash_on) : ""));
  }
  if (policy.session) parts.push_back("sessions by " + policy.session->name);
  const auto add_time = [&](std::string_view name, const std::optional<Duration>& time) {
    if (time) parts.push_back(fmt::format("{} {}", name, duration_text(*time)));
  };
  add_time("request", policy.timeouts.request);
  add_time("perTry", policy.timeouts.per_try);
  add_time("connect", policy.timeouts.connect);
  add_time("idle", policy.timeouts.idle);
  add_time("stream", policy.timeouts.stream);
  std::string retries = fmt::format("{} retries", policy.retry.attempts);
  if (!policy.retry.codes.empty()) {
    retries += fmt::format(" of {}", fmt::join(policy.retry.codes, " "));
  }
  parts.push_back(std::move(retries));
  if (policy.circuit_breaking.requests_max != 0) {
    parts.push_back(fmt::format("at most {} requests", policy.circuit_breaking.requests_max));
  }
  if (policy.circuit_breaking.requests_per_endpoint_max != 0) {
    parts.push_back(fmt::format("at most {} requests per endpoint",
                                policy.circuit_breaking.requests_per_endpoint_max));
  }
  if (policy.circuit_breaking.connections_per_endpoint_max != 0) {
    parts.push_back(fmt::format("at most {} connections per endpoint",
                                policy.circuit_breaking.connections_per_endpoint_max));
  }
  if (policy.hedging_percentile != 0) {
    parts.push_back(fmt::format("hedging after p{}", policy.hedging_percentile));
  }
  if (const auto version = policy.proxy_protocol.send) {
    parts.push_back(*version == codec::ProxyVersion::v1 ? "PROXY protocol V1"
                                                        : "PROXY protocol V2");
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::vector<std::string> explain_choice(const mesh::Decision& decision,
                                        const mesh::RouteRequest& request,
                                        const mesh::PickRequest& by, std::string_view picked,
                                        Instant now, Random& random) {
  std::vector<std::string> lines;
  lines.push_back(line("route", mesh::explain(decision, request)));
  if (decision.target() != mesh::RouteTarget::service) return lines;
  const mesh::Service& service = *decision.service;
  const mesh::ServicePort& port = *decision.port;
  const std::string policy = service.policy
                                 ? service.policy->name + ": " + describe(*service.policy)
                                 : "none: " + std::string(mesh::to_string(service.load_balancing));
  lines.push_back(line("policy", policy));
  lines.push_back(line("pick", picked));
  const auto all = mesh::candidacies(service, port, by, now, random);
  const std::size_t shown = std::min(all.size(), kCandidatesShownMax);
  for (std::size_t i = 0; i < shown; ++i) {
    lines.push_back(candidate_line(port.endpoints[i], all[i]));
  }
  if (shown < all.size()) {
    lines.push_back(line("endpoint", fmt::format("and {} more", all.size() - shown)));
  }
  lines.push_back(objects_line(decision));
  return lines;
}

Result<std::string> explain_request(const mesh::Snapshot& snapshot, const ImaginedRequest& imagined,
                                    Instant now, Random& random) {
  Asked asked;
  std::vector<std::string> lines;
  TRY_VOID(read_url(imagined, asked));
  if (imagined.from.empty()) {
    TRY_VOID(dial_from_outside(snapshot, asked));
  } else {
    TRY_VOID(dial_from_pod(snapshot, imagined.from, asked, lines));
  }
  const mesh::Decision decision = mesh::route(snapshot, asked.route);
  std::string picked;
  mesh::PickRequest by;
  if (decision.target() == mesh::RouteTarget::service) {
    by = pick_request(decision.service->the_policy(), asked.client,
                      asked.head ? &*asked.head : nullptr);
    by.rehearsal = true;
    by.external = asked.route.listener == mesh::ListenerKind::node_port ||
                  asked.route.listener == mesh::ListenerKind::load_balancer;
    const mesh::Pick pick = mesh::pick(*decision.service, *decision.port, by, now, random);
    picked = mesh::explain(pick, *decision.service, *decision.port);
  }
  for (std::string& each : explain_choice(decision, asked.route, by, picked, now, random)) {
    lines.push_back(std::move(each));
  }
  return fmt::format("{}\n", fmt::join(lines, "\n"));
}

}  // namespace tulle::proxy
