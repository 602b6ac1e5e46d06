#include "controllers/stateful_pod.h"

#include "controllers/history.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <algorithm>
#include <charconv>

namespace tulle::controllers {

namespace {

constexpr std::string_view kPodName = "statefulset.kubernetes.io/pod-name";
constexpr std::string_view kPodIndex = "apps.kubernetes.io/pod-index";

const json::array& claim_templates(const json::object& set) {
  return kube::array_at(set, "spec.volumeClaimTemplates");
}

std::string claim_name(const json::object& set, const json::object& claim, std::int64_t ordinal) {
  return fmt::format("{}-{}", kube::name_of(claim), pod_name(set, ordinal));
}

json::array volumes_of(const json::object& set, const json::object& pod_template,
                       std::int64_t ordinal) {
  json::array volumes;
  const auto has = [&volumes](std::string_view name) {
    return std::ranges::any_of(volumes, [name](const json::value& volume) {
      return kube::string_at(kube::object_or_empty(volume), "name") == name;
    });
  };
  for (const auto& value : claim_templates(set)) {
    const auto& claim = kube::object_or_empty(value);
    volumes.push_back(
        {{"name", kube::name_of(claim)},
         {"persistentVolumeClaim", {{"claimName", claim_name(set, claim, ordinal)}}}});
  }
  for (const auto& volume : kube::array_at(pod_template, "spec.volumes")) {
    if (!has(kube::string_at(kube::object_or_empty(volume), "name"))) volumes.push_back(volume);
  }
  return volumes;
}

bool deletes(const json::object& set, std::string_view when) {
  return kube::string_at(kube::object_at(set, "spec.persistentVolumeClaimRetentionPolicy"), when) ==
         "Delete";
}

}  // namespace

std::string pod_name(const json::object& set, std::int64_t ordinal) {
  return fmt::format("{}-{}", kube::name_of(set), ordinal);
}

std::optional<std::int64_t> ordinal_in(std::string_view pod, const json::object& set) {
  const std::size_t dash = pod.rfind('-');
  if (dash == pod.npos || pod.substr(0, dash) != kube::name_of(set)) return std::nullopt;
  std::int64_t ordinal = 0;
  const std::string_view digits = pod.substr(dash + 1);
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), ordinal);
  // "db-07" and "db-+7" are nobody's name.
  if (error != std::errc() || end != digits.end() || pod_name(set, ordinal) != pod) {
    return std::nullopt;
  }
  return ordinal;
}

json::object stateful_pod(const json::object& set, const json::object& pod_template,
                          std::string_view revision, std::int64_t ordinal) {
  json::object pod = pod_from_template(set, pod_template);
  const std::string name = pod_name(set, ordinal);
  kube::set_at(pod, "metadata.name", json::string(name));
  kube::set_label(pod, kPodName, name);
  kube::set_label(pod, kPodIndex, std::to_string(ordinal));
  kube::set_label(pod, kRevisionLabel, revision);
  kube::set_at(pod, "spec.hostname", json::string(name));
  const std::string_view service = kube::string_at(set, "spec.serviceName");
  if (!service.empty()) kube::set_at(pod, "spec.subdomain", json::string(service));
  json::array volumes = volumes_of(set, pod_template, ordinal);
  if (!volumes.empty()) kube::set_at(pod, "spec.volumes", std::move(volumes));
  return pod;
}

std::vector<json::object> claims_of(const json::object& set, std::int64_t ordinal) {
  std::vector<json::object> claims;
  claims.reserve(claim_templates(set).size());
  for (const auto& value : claim_templates(set)) {
    json::object claim = kube::object_or_empty(value);
    kube::set_at(claim, "metadata.name", json::string(claim_name(set, claim, ordinal)));
    kube::set_at(claim, "metadata.namespace", json::string(kube::namespace_of(set)));
    for (const auto& [key, label] : kube::object_at(set, "spec.selector.matchLabels")) {
      kube::set_label(claim, key, kube::string_or(label));
    }
    claim.erase("status");
    claims.push_back(std::move(claim));
  }
  return claims;
}

json::array claim_owner_references(const json::object& claim, const ClaimOwners& owners) {
  json::array references;
  const auto is_ours = [&owners](const json::object& reference) {
    const std::string_view uid = kube::string_at(reference, "uid");
    return uid == kube::uid_of(owners.set) ||
           (owners.pod != nullptr && uid == kube::uid_of(*owners.pod));
  };
  for (const auto& reference : kube::owner_references_of(claim)) {
    if (!is_ours(kube::object_or_empty(reference))) references.push_back(reference);
  }
  const bool with_pod = owners.condemned && deletes(owners.set, "whenScaled");
  if (with_pod && owners.pod != nullptr) {
    references.push_back(kube::controller_reference_to(*owners.pod));
  } else if (!with_pod && deletes(owners.set, "whenDeleted")) {
    references.push_back(kube::controller_reference_to(owners.set));
  }
  return references;
}

bool goes_with_earlier_pod(const json::object& claim, std::string_view pod) {
  return std::ranges::any_of(kube::owner_references_of(claim), [pod](const json::value& value) {
    const auto& reference = kube::object_or_empty(value);
    return kube::string_at(reference, "kind") == "Pod" && kube::string_at(reference, "name") == pod;
  });
}

}  // namespace tulle::controllers
