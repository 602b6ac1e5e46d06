#include "cli/status_report.h"

#include "base/format.h"
#include "cli/text_table.h"
#include "kube/object.h"
#include "kube/table_cells.h"

#include <boost/json.hpp>

#include <algorithm>
#include <map>

namespace tulle::cli {

namespace {

namespace json = boost::json;

constexpr std::string_view kServiceNameLabel = "kubernetes.io/service-name";
// A pod may take this long to get ready before it counts as a problem.
constexpr std::chrono::seconds kUnreadyPatience{30};

std::string or_dash(std::string_view text) { return std::string(text.empty() ? "-" : text); }

// --- Services -----------------------------------------------------------------------------------

// A service's endpoints by address, and which of them are ready. One address may stand in several
// slices, one for each set of ports.
using Endpoints = std::map<std::string, bool>;

std::map<std::string, Endpoints> endpoints_by_service(const StatusFacts& facts) {
  std::map<std::string, Endpoints> services;
  for (const auto& slice : facts.endpoint_slices) {
    Endpoints& endpoints = services[fmt::format("{}/{}", kube::namespace_of(*slice),
                                                kube::label_of(*slice, kServiceNameLabel))];
    for (const json::value& value : kube::array_at(*slice, "endpoints")) {
      const json::object& endpoint = kube::object_or_empty(value);
      const bool ready = kube::bool_at(endpoint, "conditions.ready", true);
      for (const json::value& address : kube::array_at(endpoint, "addresses")) {
        endpoints[std::string(kube::string_or(address))] |= ready;
      }
    }
  }
  return services;
}

std::size_t count_ready(const Endpoints& endpoints) {
  return static_cast<std::size_t>(
      std::ranges::count_if(endpoints, [](const auto& entry) { return entry.second; }));
}

std::string address_of(const json::object& service) {
  if (kube::string_at(service, "spec.type") == "ExternalName") {
    return or_dash(kube::string_at(service, "spec.externalName"));
  }
  const json::array& addresses = kube::array_at(service, "status.loadBalancer.ingress");
  std::string text = or_dash(kube::string_at(service, "spec.clusterIP"));
  for (const json::value& address : addresses) {
    const std::string_view ip = kube::string_at(kube::object_or_empty(address), "ip");
    if (!ip.empty()) text.append(",").append(ip);
  }
  return text;
}

std::string ports_of(const json::object& service) {
  std::string text;
  for (const json::value& value : kube::array_at(service, "spec.ports")) {
    const json::object& port = kube::object_or_empty(value);
    if (!text.empty()) text += ",";
    text += std::to_string(kube::integer_at(port, "port"));
    const std::string_view protocol = kube::string_at(port, "protocol", "TCP");
    if (protocol != "TCP") text.append("/").append(protocol);
  }
  return or_dash(text);
}

struct Counts {
  double requests = 0;
  double errors = 0;
  double retries = 0;
};

Counts counts_of(const Samples& samples, const std::string& service) {
  const auto requests = [&](std::string_view status) {
    return samples.sum("tulle_requests_total", {{"service", service}, {"status", status}});
  };
  const double broken =
      samples.sum("tulle_connections_total", {{"service", service}, {"outcome", "error"}});
  return {.requests = samples.sum("tulle_requests_total", {{"service", service}}) +
                      samples.sum("tulle_connections_total", {{"service", service}}),
          .errors = requests("5xx") + requests("none") + broken,
          .retries = samples.sum("tulle_retries_total", {{"service", service}})};
}

// A counter that went down began anew, with the proxy.
std::string rate(double before, double now, Duration between) {
  const double seconds = std::chrono::duration<double>(between).count();
  if (seconds <= 0) return "-";
  const double per_second = (now < before ? now : now - before) / seconds;
  return per_second >= 100 ? fmt::format("{:.0f}", per_second) : fmt::format("{:.1f}", per_second);
}

std::string services_table(const StatusFacts& facts) {
  const auto endpoints = endpoints_by_service(facts);
  TextTable table({"NAMESPACE", "SERVICE", "ADDRESS", "PORTS", "ENDPOINTS", "REQUESTS/S",
                   "ERRORS/S", "RETRIES"});
  for (const auto& service : facts.services) {
    const std::string name = kube::to_string(kube::key_of(*service));
    std::vector<std::string> row{std::string(kube::namespace_of(*service)),
                                 std::string(kube::name_of(*service)), address_of(*service),
                                 ports_of(*service)};
    const auto found = endpoints.find(name);
    row.push_back(found == endpoints.end()
                      ? "0/0"
                      : fmt::format("{}/{}", count_ready(found->second), found->second.size()));
    if (facts.traffic) {
      const auto& [before, now, between] = *facts.traffic;
      const Counts first = counts_of(before, name);
      const Counts last = counts_of(now, name);
      row.push_back(rate(first.requests, last.requests, between));
      row.push_back(rate(first.errors, last.errors, between));
      row.push_back(fmt::format("{:.0f}", last.retries));
    } else {
      row.insert(row.end(), 3, "-");
    }
    table.add(std::move(row));
  }
  return table.text();
}

// --- Pods and Ingresses -------------------------------------------------------------------------

std::string pods_table(const StatusFacts& facts) {
  TextTable table({"NAMESPACE", "POD", "READY", "STATUS", "RESTARTS", "ADDRESS", "AGE"});
  for (const auto& pod : facts.pods) {
    table.add({std::string(kube::namespace_of(*pod)), std::string(kube::name_of(*pod)),
               std::string(kube::string_or(kube::pod_ready(*pod, facts.now))),
               std::string(kube::string_or(kube::pod_status(*pod, facts.now))),
               std::string(kube::string_or(kube::pod_restarts(*pod, facts.now))),
               or_dash(kube::string_at(*pod, "status.podIP")),
               kube::age(kube::string_at(*pod, "metadata.creationTimestamp"), facts.now)});
  }
  return table.text();
}

// Where an Ingress answers: "127.0.0.1:8080", and the port's suffix for URLs with a host of their
// own. Empty while nobody serves it.
struct FrontDoor {
  std::string address;
  std::string port;
};

FrontDoor front_door_of(const json::object& ingress) {
  const json::array& all = kube::array_at(ingress, "status.loadBalancer.ingress");
  if (all.empty()) return {};
  const json::object& first = kube::object_or_empty(all[0]);
  const json::array& ports = kube::array_at(first, "ports");
  const std::int64_t port =
      ports.empty() ? 80 : kube::integer_at(kube::object_or_empty(ports[0]), "port", 80);
  std::string_view address = kube::string_at(first, "ip");
  if (address.empty()) address = kube::string_at(first, "hostname");
  return {.address = std::string(address), .port = port == 80 ? "" : fmt::format(":{}", port)};
}

std::string backend_of(const json::object& backend) {
  const std::string_view service = kube::string_at(backend, "service.name");
  if (service.empty()) return or_dash(kube::string_at(backend, "resource.name"));
  const std::string_view name = kube::string_at(backend, "service.port.name");
  if (!name.empty()) return fmt::format("{}:{}", service, name);
  return fmt::format("{}:{}", service, kube::integer_at(backend, "service.port.number"));
}

void add_rules(const json::object& ingress, TextTable& table) {
  const FrontDoor door = front_door_of(ingress);
  const auto add = [&](std::string_view host, std::string_view path, const json::object& backend) {
    const std::string url = door.address.empty()
                                ? "-"
                                : fmt::format("http://{}{}{}", host.empty() ? door.address : host,
                                              door.port, path.empty() ? "/" : path);
    table.add({std::string(kube::namespace_of(ingress)), std::string(kube::name_of(ingress)), url,
               backend_of(backend)});
  };
  const json::object& fallback = kube::object_at(ingress, "spec.defaultBackend");
  if (!fallback.empty()) add("", "/", fallback);
  for (const json::value& value : kube::array_at(ingress, "spec.rules")) {
    const json::object& rule = kube::object_or_empty(value);
    for (const json::value& path : kube::array_at(rule, "http.paths")) {
      add(kube::string_at(rule, "host"), kube::string_at(kube::object_or_empty(path), "path"),
          kube::object_at(kube::object_or_empty(path), "backend"));
    }
  }
}

std::string ingresses_table(const StatusFacts& facts) {
  TextTable table({"NAMESPACE", "INGRESS", "URL", "SERVICE"});
  for (const auto& ingress : facts.ingresses) add_rules(*ingress, table);
  return table.text();
}

// --- Problems -----------------------------------------------------------------------------------

struct Problem {
  std::string what;
  std::string advice;  // empty: `what` says it
};

std::string describe_command(const json::object& pod) {
  return fmt::format("see: kubectl describe pod -n {} {}", kube::namespace_of(pod),
                     kube::name_of(pod));
}

struct Waiting {
  std::string_view container;
  std::string_view reason;
  std::string_view message;
};

std::string advice_for(const Waiting& waiting, const json::object& pod) {
  const auto& [container, reason, message] = waiting;
  // The node agent itself says how to get an image.
  if (message.contains("tulle image")) return {};
  if (reason.contains("Image")) {
    return "load its image: tulle image load ARCHIVE, or tulle image import REF PATH";
  }
  if (reason == "CrashLoopBackOff") {
    return fmt::format("see: kubectl logs -n {} {} -c {} --previous", kube::namespace_of(pod),
                       kube::name_of(pod), container);
  }
  return describe_command(pod);
}

bool is_starting(std::string_view reason) {
  return reason.empty() || reason == "ContainerCreating" || reason == "PodInitializing";
}

std::string joined(std::string_view reason, std::string_view message) {
  if (reason.empty()) return std::string(message);
  return message.empty() ? std::string(reason) : fmt::format("{}: {}", reason, message);
}

// Adds each container that waits for something other than its turn. Returns whether there was one.
bool add_waiting(const json::object& pod, std::string_view path, std::vector<Problem>& problems) {
  bool found = false;
  for (const json::value& value : kube::array_at(pod, path)) {
    const json::object& container = kube::object_or_empty(value);
    const Waiting waiting{.container = kube::string_at(container, "name"),
                          .reason = kube::string_at(container, "state.waiting.reason"),
                          .message = kube::string_at(container, "state.waiting.message")};
    if (is_starting(waiting.reason)) continue;
    problems.push_back(
        {.what = fmt::format("pod {}, container {}: {}", kube::to_string(kube::key_of(pod)),
                             waiting.container, joined(waiting.reason, waiting.message)),
         .advice = advice_for(waiting, pod)});
    found = true;
  }
  return found;
}

// What a container that is starting says of it: how far its image is pulled.
std::string_view said_while_starting(const json::object& pod) {
  for (const char* list : {"status.initContainerStatuses", "status.containerStatuses"}) {
    for (const json::value& value : kube::array_at(pod, list)) {
      const auto message = kube::string_at(kube::object_or_empty(value), "state.waiting.message");
      if (!message.empty()) return message;
    }
  }
  return {};
}

// Whether the condition has been False for longer than the patience with it.
bool is_false_for_long(const json::object* condition, kube::Time now) {
  if (condition == nullptr || kube::string_at(*condition, "status") != "False") return false;
  const auto since = kube::parse_time(kube::string_at(*condition, "lastTransitionTime"));
  return since && now - *since > kUnreadyPatience;
}

void add_pod_problems(const json::object& pod, kube::Time now, std::vector<Problem>& problems) {
  if (kube::is_deleting(pod)) return;
  const bool init_waits = add_waiting(pod, "status.initContainerStatuses", problems);
  if (add_waiting(pod, "status.containerStatuses", problems) || init_waits) return;
  const std::string name = kube::to_string(kube::key_of(pod));
  const std::string_view phase = kube::string_at(pod, "status.phase");
  if (phase == "Succeeded") return;
  if (phase == "Failed") {
    const std::string why =
        joined(kube::string_at(pod, "status.reason"), kube::string_at(pod, "status.message"));
    problems.push_back(
        {.what = fmt::format("pod {} failed{}{}", name, why.empty() ? "" : ": ", why),
         .advice = describe_command(pod)});
    return;
  }
  const json::object* scheduled = kube::find_condition(pod, "PodScheduled");
  if (is_false_for_long(scheduled, now)) {
    problems.push_back({.what = fmt::format("pod {} has no node: {}", name,
                                            kube::string_at(*scheduled, "message")),
                        .advice = describe_command(pod)});
  } else if (is_false_for_long(kube::find_condition(pod, "Ready"), now)) {
    const std::string_view said = said_while_starting(pod);
    problems.push_back(
        {.what = fmt::format("pod {} is not ready{}{}", name, said.empty() ? "" : ": ", said),
         .advice = describe_command(pod)});
  }
}

std::string problems_text(const StatusFacts& facts) {
  std::vector<Problem> problems;
  if (!facts.traffic) {
    problems.push_back(
        {.what = "the proxy tells no metrics: " + facts.traffic.error().message,
         .advice = "tulle up starts it again by itself; if this stays, see its log"});
  }
  for (const auto& pod : facts.pods) add_pod_problems(*pod, facts.now, problems);
  if (problems.empty()) return {};
  std::string text = "\nProblems:\n";
  for (const Problem& problem : problems) {
    text += fmt::format("  {}\n", problem.what);
    if (!problem.advice.empty()) text += fmt::format("    {}\n", problem.advice);
  }
  return text;
}

std::string header(const StatusFacts& facts) {
  std::string text = fmt::format("API {}   data {}", facts.api_address, facts.data_dir);
  if (facts.started) text += "   up " + kube::human_duration(facts.now - *facts.started);
  if (!facts.traffic) return text + "\n";
  const Samples& now = facts.traffic->now;
  if (const auto generation = now.value("tulle_snapshot_generation")) {
    text += fmt::format("   snapshot {:.0f}", *generation);
  }
  if (const auto pods = now.value("tulle_attached_pods")) {
    text += fmt::format("   pods attached {:.0f}", *pods);
  }
  if (const auto fast_path = now.value("tulle_fast_path")) {
    text += fmt::format("   fast path {}", *fast_path == 1 ? "on" : "off");
  }
  return text + "\n";
}

}  // namespace

std::string describe_status(const StatusFacts& facts) {
  std::string text = header(facts) + "\n" + services_table(facts);
  if (!facts.pods.empty()) text += "\n" + pods_table(facts);
  if (!facts.ingresses.empty()) text += "\n" + ingresses_table(facts);
  return text + problems_text(facts);
}

}  // namespace tulle::cli
