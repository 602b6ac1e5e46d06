#include "node/downward.h"

#include "base/format.h"
#include "kube/object.h"
#include "kube/quantity.h"

#include <boost/json.hpp>

namespace tulle::node {

namespace {

namespace json = boost::json;
using kube::string_at;

// In quotes, as Go's %q has it.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

// A line key="value" for each, in order of the keys.
std::string all_of(const json::object& map) {
  std::map<std::string_view, std::string_view> sorted;
  for (const auto& member : map) sorted.emplace(member.key(), kube::string_or(member.value()));
  std::string out;
  for (const auto& [key, value] : sorted) {
    out += fmt::format("{}{}={}", out.empty() ? "" : "\n", key, quoted(value));
  }
  return out;
}

// metadata.labels, metadata.labels['KEY'], and annotations alike.
Result<std::string> map_value(const json::object& pod, std::string_view path) {
  for (const std::string_view map : {"metadata.labels", "metadata.annotations"}) {
    if (!path.starts_with(map)) continue;
    std::string_view rest = path.substr(map.size());
    if (rest.empty()) return all_of(kube::object_at(pod, map));
    if (!rest.starts_with("['") || !rest.ends_with("']")) break;
    rest = rest.substr(2, rest.size() - 4);
    const json::value* value = kube::object_at(pod, map).if_contains(rest);
    return value == nullptr ? std::string() : std::string(kube::string_or(*value));
  }
  return failf(Code::unsupported, "fieldPath \"{}\" is not supported", path);
}

std::int64_t divide_rounding_up(std::int64_t amount, std::int64_t divisor) {
  return amount / divisor + (amount % divisor > 0 ? 1 : 0);
}

}  // namespace

Result<std::string> field_value(const EnvironmentSources& sources, std::string_view path) {
  if (path == "status.podIP" || path == "status.podIPs") return sources.pod_address.to_string();
  if (path == "status.hostIP" || path == "status.hostIPs") return sources.host_address.to_string();
  for (const std::string_view plain : {"metadata.name", "metadata.namespace", "metadata.uid",
                                       "spec.nodeName", "spec.serviceAccountName"}) {
    if (path == plain) return std::string(string_at(sources.pod, path));
  }
  return map_value(sources.pod, path);
}

Result<std::string> resource_value(const EnvironmentSources& sources, const json::object& container,
                                   const json::object& reference) {
  const std::string_view resource = string_at(reference, "resource");
  const std::size_t dot = std::min(resource.find('.'), resource.size());
  const std::string_view kind = resource.substr(0, dot);
  if ((kind != "limits" && kind != "requests") || dot == resource.size()) {
    return failf(Code::unsupported, "resource \"{}\" is not known", resource);
  }
  const std::string_view name = resource.substr(dot + 1);
  const json::object& own = kube::object_at(kube::object_at(container, "resources"), kind);
  const json::value* value = own.if_contains(name);
  if (value == nullptr && kind == "limits") value = sources.allocatable.if_contains(name);
  if (value == nullptr) return std::string("0");
  TRY(const kube::Quantity amount, kube::Quantity::parse(kube::scalar_text(*value)));
  kube::Quantity divisor = kube::Quantity::from_integer(1);
  if (const json::value* given = reference.if_contains("divisor")) {
    TRY(const kube::Quantity parsed, kube::Quantity::parse(kube::scalar_text(*given)));
    if (!parsed.is_zero()) divisor = parsed;
  }
  const bool in_thousandths = name == "cpu";
  const std::int64_t parts = in_thousandths
                                 ? divide_rounding_up(amount.milli_value(), divisor.milli_value())
                                 : divide_rounding_up(amount.value(), divisor.value());
  return std::to_string(parts);
}

}  // namespace tulle::node
