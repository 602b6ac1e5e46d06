#include "mesh/dns_records.h"

#include "base/text.h"
#include "codec/dns.h"

#include <algorithm>
#include <optional>

namespace tulle::mesh {
namespace {

using codec::DnsRecord;
using codec::DnsType;

constexpr std::size_t labels_max = 8;          // of a name below the cluster domain
constexpr std::uint16_t srv_weight_sum = 100;  // shared by the records of one answer
constexpr std::string_view schema_version = "1.1.0";

// What stands before ".domain", or nothing if `name` is not below or at `domain`.
std::optional<std::string_view> below(std::string_view name, std::string_view domain) {
  if (name == domain) return "";
  bool is_below = name.size() > domain.size() && name.ends_with(domain) &&
                  name[name.size() - domain.size() - 1] == '.';
  if (!is_below) return std::nullopt;
  return name.substr(0, name.size() - domain.size() - 1);
}

std::vector<std::string_view> split_labels(std::string_view name) {
  std::vector<std::string_view> labels;
  while (!name.empty() && labels.size() <= labels_max) {
    std::size_t dot = name.find('.');
    labels.push_back(name.substr(0, dot));
    name.remove_prefix(dot == std::string_view::npos ? name.size() : dot + 1);
  }
  return labels;
}

std::string dashed(const IpAddress& address) {
  std::string text = address.to_string();
  std::ranges::replace(text, address.is_v6() ? ':' : '.', '-');
  return text;
}

std::optional<IpAddress> parse_dashed(std::string_view label) {
  for (const char separator : {'.', ':'}) {
    std::string text(label);
    std::ranges::replace(text, '-', separator);
    if (auto address = IpAddress::parse(text)) return *address;
  }
  return std::nullopt;
}

DnsRecord record(std::string_view owner, DnsType type, codec::DnsData data) {
  return {.name = std::string(owner), .type = type, .ttl_s = dns_ttl_s, .data = std::move(data)};
}

DnsType type_of(const IpAddress& address) { return address.is_v4() ? DnsType::a : DnsType::aaaa; }

DnsRecord address_record(std::string_view owner, const IpAddress& address) {
  if (address.is_v6()) return record(owner, DnsType::aaaa, codec::DnsAaaa{address.bytes()});
  codec::DnsA a;
  std::copy_n(address.bytes().begin(), 4, a.address.begin());
  return record(owner, DnsType::a, a);
}

enum class Found : std::uint8_t {
  name,       // the name exists, whatever the answers of the asked type
  container,  // only names below it exist
  nothing,
};

// Looks one full name up and collects its records, under the owner name that was asked.
class Lookup final {
 public:
  Lookup(const Snapshot& snapshot, std::string_view owner, DnsType type)
      : snapshot_(snapshot), owner_(owner), type_(type) {}

  // `name`: lower case, at or below the cluster domain.
  Found find(std::string_view name);
  DnsAnswer take() && { return std::move(answer_); }

 private:
  using Labels = std::span<const std::string_view>;

  Found find_namespace(std::string_view name) const {
    return snapshot_.has_namespace(name) ? Found::container : Found::nothing;
  }
  Found find_in_services(Labels labels);
  Found find_in_pods(Labels labels);
  Found find_service(const Service& service);
  Found find_host(const Service& service, std::string_view host);
  static Found find_protocol(const Service& service, std::string_view protocol);
  Found find_port(const Service& service, std::string_view port, std::string_view protocol);

  void add_address(const IpAddress& address) {
    if (wants(type_of(address))) {
      answer_.answers.push_back(address_record(owner_, address));
    }
  }
  void add_srv(const Service& service, const ServicePort& port);
  std::string full_name(const Service& service) const;
  bool wants(DnsType type) const { return type_ == type || type_ == DnsType::any; }

  const Snapshot& snapshot_;
  std::string_view owner_;
  DnsType type_;
  DnsAnswer answer_{.outcome = DnsOutcome::answered};
};

std::string Lookup::full_name(const Service& service) const {
  return service.name.name + "." + service.name.namespace_name + ".svc." +
         snapshot_.networks().cluster_domain;
}

Found Lookup::find(std::string_view name) {
  std::string_view rest = *below(name, snapshot_.networks().cluster_domain);
  std::vector<std::string_view> labels = split_labels(rest);
  if (labels.empty()) return Found::container;
  Labels before(labels.data(), labels.size() - 1);
  if (labels.back() == "svc") return find_in_services(before);
  if (labels.back() == "pod") return find_in_pods(before);
  if (rest != "dns-version") return Found::nothing;
  if (wants(DnsType::txt)) {
    codec::DnsTxt text{.strings = {std::string(schema_version)}};
    answer_.answers.push_back(record(owner_, DnsType::txt, std::move(text)));
  }
  return Found::name;
}

Found Lookup::find_in_services(Labels labels) {
  if (labels.empty()) return Found::container;
  if (labels.size() == 1) return find_namespace(labels[0]);
  ObjectNameView name{.namespace_name = labels.back(), .name = labels[labels.size() - 2]};
  const Service* service = snapshot_.service(name);
  if (!service) return Found::nothing;
  switch (labels.size()) {
    case 2: return find_service(*service);
    case 3:
      return labels[0].starts_with('_') ? find_protocol(*service, labels[0])
                                        : find_host(*service, labels[0]);
    case 4: return find_port(*service, labels[0], labels[1]);
    default: return Found::nothing;
  }
}

Found Lookup::find_service(const Service& service) {
  if (service.type == ServiceType::external_name) {
    codec::DnsName target{.name = service.external_name};
    answer_.answers.push_back(record(owner_, DnsType::cname, std::move(target)));
    return Found::name;
  }
  for (const IpAddress& address : service.cluster_addresses) add_address(address);
  bool any = !service.headless;
  for (const ServiceHost& host : service.hosts) {
    if (!service.headless || !host.published) continue;
    add_address(host.address);
    any = true;
  }
  // The specification wants NXDOMAIN of a headless service without ready endpoints.
  if (!any) return Found::nothing;
  if (wants(DnsType::srv)) {
    for (const ServicePort& port : service.ports) add_srv(service, port);
  }
  return Found::name;
}

Found Lookup::find_host(const Service& service, std::string_view host_label) {
  Found found = Found::nothing;
  for (const ServiceHost& host : service.hosts) {
    bool same =
        host.hostname.empty() ? dashed(host.address) == host_label : host.hostname == host_label;
    if (!same || !host.published) continue;
    add_address(host.address);
    found = Found::name;
  }
  return found;
}

// Whether _port._protocol has records. Of a headless service only what is ready is published, as of
// its addresses.
bool has_srv(const Service& service, const ServicePort& port, std::string_view protocol_label) {
  const std::string_view protocol = port.transport == Transport::tcp ? "_tcp" : "_udp";
  if (port.name.empty() || protocol_label != protocol) return false;
  if (!service.headless) return true;
  return port.pickable_count != 0 && port.endpoints[0].health == Health::ready;
}

Found Lookup::find_protocol(const Service& service, std::string_view protocol_label) {
  const bool any = std::ranges::any_of(service.ports, [&](const ServicePort& port) {
    return has_srv(service, port, protocol_label);
  });
  return any ? Found::container : Found::nothing;
}

Found Lookup::find_port(const Service& service, std::string_view port_label,
                        std::string_view protocol_label) {
  if (!port_label.starts_with('_')) return Found::nothing;
  const ServicePort* port = service.find_port(port_label.substr(1));
  if (port == nullptr || !has_srv(service, *port, protocol_label)) return Found::nothing;
  if (wants(DnsType::srv)) add_srv(service, *port);
  return Found::name;
}

void Lookup::add_srv(const Service& service, const ServicePort& port) {
  std::string service_name = full_name(service);
  auto add = [&](const std::string& target, std::uint16_t number, std::size_t records,
                 const IpAddress& address) {
    codec::DnsSrv srv{.port = number, .target = target};
    srv.weight = static_cast<std::uint16_t>(std::max<std::size_t>(srv_weight_sum / records, 1));
    answer_.answers.push_back(record(owner_, DnsType::srv, std::move(srv)));
    DnsRecord glue = address_record(target, address);
    if (std::ranges::find(answer_.additionals, glue) == answer_.additionals.end()) {
      answer_.additionals.push_back(std::move(glue));
    }
  };
  if (!service.cluster_addresses.empty()) {
    add(service_name, port.port, 1, service.cluster_addresses[0]);
    for (const IpAddress& address : std::span(service.cluster_addresses).subspan(1)) {
      answer_.additionals.push_back(address_record(service_name, address));
    }
  }
  if (!service.headless) return;
  for (const Endpoint& endpoint : port.pickable()) {
    if (endpoint.health != Health::ready) continue;
    const auto& ip = endpoint.address.ip;
    std::string host = endpoint.hostname.empty() ? dashed(ip) : endpoint.hostname;
    host.append(".").append(service_name);
    add(host, endpoint.address.port, port.pickable_count, ip);
  }
}

Found Lookup::find_in_pods(Labels labels) {
  if (labels.empty()) return Found::container;
  if (labels.size() == 1) return find_namespace(labels[0]);
  auto address = labels.size() == 2 ? parse_dashed(labels[0]) : std::nullopt;
  const Workload* workload = address ? snapshot_.workload_by_address(*address) : nullptr;
  if (!workload || workload->name.namespace_name != labels[1]) return Found::nothing;
  add_address(*address);
  return Found::name;
}

// The name that an address resolves back from, or nothing.
std::optional<std::string> name_of(const Snapshot& snapshot, const IpAddress& address) {
  const std::string& domain = snapshot.networks().cluster_domain;
  if (const Service* service = snapshot.service_by_address(address)) {
    return service->name.name + "." + service->name.namespace_name + ".svc." + domain;
  }
  const Workload* workload = snapshot.workload_by_address(address);
  if (!workload) return std::nullopt;
  const std::string& space = workload->name.namespace_name;
  const Service* service = snapshot.service(ObjectNameView{space, workload->subdomain});
  bool named = service && std::ranges::any_of(service->hosts, [&](const ServiceHost& host) {
                 return host.address == address && host.hostname == workload->hostname;
               });
  if (named) {
    return workload->hostname + "." + workload->subdomain + "." + space + ".svc." + domain;
  }
  return dashed(address) + "." + space + ".pod." + domain;
}

DnsRecord soa(const Snapshot& snapshot) {
  const std::string& domain = snapshot.networks().cluster_domain;
  codec::DnsSoa data{.primary = "ns.dns." + domain,
                     .mailbox = "hostmaster." + domain,
                     .serial = static_cast<std::uint32_t>(snapshot.generation()),
                     .refresh_s = 7200,
                     .retry_s = 1800,
                     .expire_s = 86400,
                     .minimum_s = dns_ttl_s};
  return record(domain, DnsType::soa, std::move(data));
}

DnsAnswer forward(std::string_view asked, std::string_view name) {
  DnsAnswer answer{.outcome = DnsOutcome::forward, .forward_name = std::string(name)};
  if (asked != name) {
    answer.answers.push_back(
        record(asked, DnsType::cname, codec::DnsName{.name = std::string(name)}));
  }
  return answer;
}

// Follows the CNAME of an ExternalName: a stub resolver wants the addresses in the same answer.
DnsAnswer follow_cname(const Snapshot& snapshot, DnsAnswer answer, DnsType type) {
  if (answer.answers.size() != 1 || answer.answers[0].type != DnsType::cname) return answer;
  if (type == DnsType::cname || type == DnsType::any) return answer;
  const std::string target = std::get<codec::DnsName>(answer.answers[0].data).name;
  if (!below(target, snapshot.networks().cluster_domain)) {
    answer.outcome = DnsOutcome::forward;
    answer.forward_name = target;
    return answer;
  }
  Lookup lookup(snapshot, target, type);
  // The code is of the name at the end of the chain (RFC 6604 §3).
  if (lookup.find(target) == Found::nothing) answer.outcome = DnsOutcome::no_such_name;
  for (DnsRecord& found : std::move(lookup).take().answers) {
    // A chain of ExternalNames ends here: one step is all that the specification asks for.
    if (found.type != DnsType::cname) answer.answers.push_back(std::move(found));
  }
  return answer;
}

// The first of `names` that exists, with records owned by the asked name.
std::optional<DnsAnswer> try_name(const Snapshot& snapshot, const DnsQuery& query,
                                  std::string_view name) {
  if (!below(name, snapshot.networks().cluster_domain)) return std::nullopt;
  Lookup lookup(snapshot, query.name, query.type);
  if (lookup.find(name) != Found::name) return std::nullopt;
  return follow_cname(snapshot, std::move(lookup).take(), query.type);
}

std::optional<DnsAnswer> try_search_domains(const Snapshot& snapshot, const DnsQuery& query,
                                            std::string_view name,
                                            std::span<const std::string> domains) {
  for (const std::string& domain : domains) {
    if (auto answer = try_name(snapshot, query, std::string(name) + "." + domain)) return answer;
  }
  return std::nullopt;
}

// `name` does not exist, but may be a resolver's first step on the search path.
std::optional<DnsAnswer> walk_on(const Snapshot& snapshot, const DnsQuery& query,
                                 std::string_view name) {
  if (query.search_domains.empty()) return std::nullopt;
  auto base = below(name, query.search_domains[0]);
  if (!base || base->empty() || base->starts_with('_')) return std::nullopt;
  if (query.type != DnsType::a && query.type != DnsType::aaaa) return std::nullopt;
  auto others = query.search_domains.subspan(1);
  if (auto answer = try_search_domains(snapshot, query, *base, others)) return answer;
  // A domain that is not ours comes before the bare name: leave the rest of the walk to the client.
  const std::string& ours = snapshot.networks().cluster_domain;
  bool all_ours = std::ranges::all_of(others, [&](auto& d) { return below(d, ours).has_value(); });
  bool has_dot = base->find('.') != std::string_view::npos;
  if (!all_ours || !has_dot || below(*base, ours)) return std::nullopt;
  return forward(query.name, *base);
}

DnsAnswer resolve_reverse(const Snapshot& snapshot, const DnsQuery& query,
                          const IpAddress& address) {
  if (auto name = name_of(snapshot, address)) {
    DnsAnswer answer{.outcome = DnsOutcome::answered};
    if (query.type == DnsType::ptr || query.type == DnsType::any) {
      codec::DnsName target{.name = *std::move(name)};
      answer.answers.push_back(record(query.name, DnsType::ptr, std::move(target)));
    }
    return answer;
  }
  const Networks& networks = snapshot.networks();
  bool ours = networks.services.contains(address) || networks.pods.contains(address);
  return ours ? DnsAnswer{.outcome = DnsOutcome::no_such_name} : forward(query.name, query.name);
}

DnsAnswer resolve_forward(const Snapshot& snapshot, const DnsQuery& query, std::string_view name) {
  if (!below(name, snapshot.networks().cluster_domain)) {
    auto answer = try_search_domains(snapshot, query, name, query.search_domains);
    return answer ? *std::move(answer) : forward(query.name, query.name);
  }
  Lookup lookup(snapshot, query.name, query.type);
  switch (lookup.find(name)) {
    case Found::name: return follow_cname(snapshot, std::move(lookup).take(), query.type);
    case Found::container: {
      DnsAnswer answer{.outcome = DnsOutcome::answered};
      bool apex = name == snapshot.networks().cluster_domain;
      if (apex && query.type == DnsType::soa) answer.answers.push_back(soa(snapshot));
      return answer;
    }
    case Found::nothing: break;
  }
  auto answer = walk_on(snapshot, query, name);
  return answer ? *std::move(answer) : DnsAnswer{.outcome = DnsOutcome::no_such_name};
}

}  // namespace

DnsAnswer resolve(const Snapshot& snapshot, const DnsQuery& query) {
  std::string name = to_lower(query.name);
  auto reverse = codec::dns_reverse_address(name);
  DnsAnswer answer =
      reverse ? resolve_reverse(snapshot, query, *reverse) : resolve_forward(snapshot, query, name);
  const bool negative = std::ranges::none_of(answer.answers, [&](const DnsRecord& record) {
    return record.type == query.type || query.type == DnsType::any;
  });
  if (answer.outcome != DnsOutcome::forward && negative) {
    answer.authorities.push_back(soa(snapshot));  // says how long it holds (RFC 2308 §3)
  }
  return answer;
}

}  // namespace tulle::mesh
