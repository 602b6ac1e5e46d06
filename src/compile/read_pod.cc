#include "compile/facts.h"

#include "kube/object.h"
#include "kube/pod.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <charconv>

namespace tulle::compile {
namespace {

using kube::string_at;

struct Range {
  std::uint16_t least = 0;  // and where there is none
  std::uint16_t most = 0;
};

std::uint16_t read_number(const boost::json::object& object, std::string_view annotation,
                          Range range, Problems& problems) {
  std::string_view text = kube::annotation_of(object, annotation);
  if (text.empty()) return range.least;
  std::uint16_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  bool valid = error == std::errc{} && end == text.data() + text.size() && number >= range.least &&
               number <= range.most;
  if (valid) return number;
  problems.push_back(
      fmt::format("annotation {0}: \"{1}\" is not a number from {2} to {3}; using {2}", annotation,
                  text, range.least, range.most));
  return range.least;
}

// As the kubelet writes them into /etc/resolv.conf by dnsPolicy and dnsConfig.
std::vector<std::string> read_search_domains(const boost::json::object& object,
                                             std::string_view cluster_domain) {
  std::vector<std::string> domains;
  std::string_view policy = string_at(object, "spec.dnsPolicy", "ClusterFirst");
  bool host_network = kube::bool_at(object, "spec.hostNetwork");
  if (policy == "ClusterFirstWithHostNet" || (policy == "ClusterFirst" && !host_network)) {
    domains.push_back(fmt::format("{}.svc.{}", kube::namespace_of(object), cluster_domain));
    domains.push_back(fmt::format("svc.{}", cluster_domain));
    domains.emplace_back(cluster_domain);
  }
  for (const boost::json::value& domain : kube::array_at(object, "spec.dnsConfig.searches")) {
    std::string_view text = kube::string_or(domain);
    if (text.ends_with('.')) text.remove_suffix(1);
    if (!text.empty()) domains.emplace_back(text);
  }
  return domains;
}

std::optional<IpAddress> read_address(const boost::json::object& object) {
  if (kube::has_ended(object) || kube::bool_at(object, "spec.hostNetwork")) return std::nullopt;
  auto address = IpAddress::parse(string_at(object, "status.podIP"));
  return address ? std::optional(*address) : std::nullopt;
}

}  // namespace

std::uint8_t read_priority(const boost::json::object& object, Problems& problems) {
  return static_cast<std::uint8_t>(
      read_number(object, priority_annotation, {.least = 0, .most = priority_max}, problems));
}

PodFacts read_pod(const boost::json::object& object, std::string_view cluster_domain,
                  Problems& problems) {
  mesh::ObjectName name = object_name(object);
  std::string hostname(string_at(object, "spec.hostname", name.name));
  mesh::Workload workload{
      .name = std::move(name),
      .uid = std::string(kube::uid_of(object)),
      .address = read_address(object),
      .hostname = std::move(hostname),
      .subdomain = std::string(string_at(object, "spec.subdomain")),
      .search_domains = read_search_domains(object, cluster_domain),
      .service_account = std::string(string_at(object, "spec.serviceAccountName", "default")),
      .node = std::string(string_at(object, "spec.nodeName"))};
  return {.workload = std::move(workload),
          .traffic = {.weight = read_number(object, weight_annotation,
                                            {.least = 1, .most = weight_max}, problems),
                      .priority = read_priority(object, problems)}};
}

}  // namespace tulle::compile
