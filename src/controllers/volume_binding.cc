#include "controllers/volume_binding.h"

#include "kube/quantity.h"
#include "kube/selector.h"
#include "kube/storage.h"

#include <boost/json.hpp>

#include <algorithm>
#include <optional>

namespace tulle::controllers {

namespace {

using kube::string_at;

constexpr std::string_view kClassAnnotation = "volume.beta.kubernetes.io/storage-class";
constexpr std::string_view kBoundByController = "pv.kubernetes.io/bound-by-controller";
constexpr std::string_view kBindCompleted = "pv.kubernetes.io/bind-completed";

kube::Quantity storage_in(const json::object& amounts) {
  const json::value* storage = amounts.if_contains("storage");
  if (storage == nullptr) return {};
  return kube::Quantity::parse(kube::scalar_text(*storage)).value_or(kube::Quantity());
}

kube::Quantity capacity_of(const json::object& volume) {
  return storage_in(kube::object_at(volume, "spec.capacity"));
}

bool has_modes(const json::object& volume, const json::object& claim) {
  const json::array& offered = kube::array_at(volume, "spec.accessModes");
  return std::ranges::all_of(kube::array_at(claim, "spec.accessModes"),
                             [&offered](const json::value& mode) {
                               return std::ranges::find(offered, mode) != offered.end();
                             });
}

bool fits(const json::object& volume, const json::object& claim) {
  const std::string_view wanted = string_at(claim, "spec.volumeName");
  if (!wanted.empty() && wanted != kube::name_of(volume)) return false;
  const json::object* selector = kube::find_object(claim, "spec.selector");
  if (selector != nullptr) {
    const auto parsed = kube::Selector::from_label_selector(*selector);
    if (!parsed || !parsed->matches(kube::labels_of(volume))) return false;
  }
  return class_of(volume) == class_of(claim) && has_modes(volume, claim) &&
         string_at(volume, "spec.volumeMode", "Filesystem") ==
             string_at(claim, "spec.volumeMode", "Filesystem") &&
         capacity_of(volume) >= storage_in(kube::object_at(claim, "spec.resources.requests"));
}

json::object reference_to(const json::object& claim) {
  return {{"apiVersion", "v1"},
          {"kind", "PersistentVolumeClaim"},
          {"namespace", kube::namespace_of(claim)},
          {"name", kube::name_of(claim)},
          {"uid", kube::uid_of(claim)},
          {"resourceVersion", kube::resource_version_of(claim)}};
}

}  // namespace

std::string_view class_of(const json::object& object) {
  const std::string_view annotated = kube::annotation_of(object, kClassAnnotation);
  return annotated.empty() ? string_at(object, "spec.storageClassName") : annotated;
}

bool names_no_class(const json::object& claim) {
  return kube::find(claim, "spec.storageClassName") == nullptr &&
         kube::annotation_of(claim, kClassAnnotation).empty();
}

bool is_claimed_by(const json::object& volume, const json::object& claim) {
  const json::object& reference = kube::object_at(volume, "spec.claimRef");
  const std::string_view uid = string_at(reference, "uid");
  return string_at(reference, "name") == kube::name_of(claim) &&
         string_at(reference, "namespace") == kube::namespace_of(claim) &&
         (uid.empty() || uid == kube::uid_of(claim));
}

ObjectPtr volume_for(const json::object& claim, const std::vector<ObjectPtr>& volumes) {
  ObjectPtr best;
  for (const ObjectPtr& volume : volumes) {
    if (kube::is_deleting(*volume)) continue;
    const bool promised = is_claimed_by(*volume, claim);
    const bool is_free = kube::find_object(*volume, "spec.claimRef") == nullptr;
    if ((!promised && !is_free) || !fits(*volume, claim)) continue;
    if (promised) return volume;
    if (!best || capacity_of(*volume) < capacity_of(*best)) best = volume;
  }
  return best;
}

json::object provision(const json::object& claim, const json::object& storage_class,
                       const std::string& directory) {
  const std::string name = "pvc-" + std::string(kube::uid_of(claim));
  const json::value* storage = kube::find(claim, "spec.resources.requests.storage");
  return {{"apiVersion", "v1"},
          {"kind", "PersistentVolume"},
          {"metadata",
           {{"name", name},
            {"annotations", {{kube::kProvisionedBy, kube::kLocalPathProvisioner}}},
            {"finalizers", json::array{kube::kVolumeProtection, kube::kLocalPathProvisioner}}}},
          {"spec",
           {{"capacity", {{"storage", storage == nullptr ? json::value("0") : *storage}}},
            {"accessModes", kube::array_at(claim, "spec.accessModes")},
            {"persistentVolumeReclaimPolicy", string_at(storage_class, "reclaimPolicy", "Delete")},
            {"storageClassName", kube::name_of(storage_class)},
            {"volumeMode", "Filesystem"},
            {"claimRef", reference_to(claim)},
            {"hostPath", {{"path", directory + "/" + name}, {"type", "DirectoryOrCreate"}}}}}};
}

json::object bound_volume(const json::object& volume, const json::object& claim) {
  json::object bound = volume;
  if (kube::find_object(volume, "spec.claimRef") == nullptr) {
    kube::set_annotation(bound, kBoundByController, "yes");
  }
  if (string_at(volume, "spec.claimRef.uid") != kube::uid_of(claim)) {
    kube::set_at(bound, "spec.claimRef", reference_to(claim));
  }
  return bound;
}

json::object bound_claim(const json::object& claim, const json::object& volume) {
  json::object bound = claim;
  if (string_at(claim, "spec.volumeName").empty()) {
    kube::set_at(bound, "spec.volumeName", json::value(kube::name_of(volume)));
    kube::set_annotation(bound, kBoundByController, "yes");
  }
  kube::set_annotation(bound, kBindCompleted, "yes");
  return bound;
}

json::object bound_status(const json::object& claim, const json::object& volume) {
  json::object status = kube::object_at(claim, "status");
  status["phase"] = "Bound";
  status["accessModes"] = kube::array_at(volume, "spec.accessModes");
  status["capacity"] = kube::object_at(volume, "spec.capacity");
  return status;
}

std::string_view volume_phase(const json::object& volume, const ObjectPtr& claim) {
  const std::string_view phase = string_at(volume, "status.phase");
  const json::object* reference = kube::find_object(volume, "spec.claimRef");
  if (reference == nullptr) return "Available";
  if (claim && is_claimed_by(volume, *claim)) {
    return string_at(*claim, "spec.volumeName") == kube::name_of(volume) ? "Bound" : "Available";
  }
  // Promised by name to a claim that is still to come.
  if (string_at(*reference, "uid").empty()) return "Available";
  return phase == "Failed" ? "Failed" : "Released";
}

std::vector<std::string> claims_of(const json::object& pod) {
  std::vector<std::string> names;
  for (const json::value& each : kube::array_at(pod, "spec.volumes")) {
    std::string name = kube::claim_name(kube::object_or_empty(each), kube::name_of(pod));
    if (!name.empty()) names.push_back(std::move(name));
  }
  return names;
}

std::vector<json::object> ephemeral_claims_of(const json::object& pod) {
  std::vector<json::object> claims;
  for (const json::value& each : kube::array_at(pod, "spec.volumes")) {
    const json::object& volume = kube::object_or_empty(each);
    const json::object* wanted = kube::find_object(volume, "ephemeral.volumeClaimTemplate");
    if (wanted == nullptr) continue;
    json::object metadata{{"name", kube::claim_name(volume, kube::name_of(pod))},
                          {"namespace", kube::namespace_of(pod)},
                          {"ownerReferences", json::array{kube::controller_reference_to(pod)}}};
    for (const std::string_view field : {"labels", "annotations"}) {
      const json::value* value = kube::object_at(*wanted, "metadata").if_contains(field);
      if (value != nullptr) metadata[field] = *value;
    }
    claims.push_back({{"apiVersion", "v1"},
                      {"kind", "PersistentVolumeClaim"},
                      {"metadata", std::move(metadata)},
                      {"spec", kube::object_at(*wanted, "spec")}});
  }
  return claims;
}

}  // namespace tulle::controllers
