#include "controllers/volumes.h"

#include "base/format.h"
#include "base/log.h"
#include "controllers/volume_binding.h"
#include "kube/pod.h"
#include "kube/storage.h"
#include "rt/combine.h"

#include <boost/json.hpp>

#include <algorithm>

namespace tulle::controllers {

namespace {

using kube::string_at;
using kubeclient::EventType;

constexpr std::string_view kNoProvisioner = "kubernetes.io/no-provisioner";
constexpr std::size_t kConcurrency = 4;

NamespacedName claim_key(const json::object& volume) {
  const json::object& reference = kube::object_at(volume, "spec.claimRef");
  return {.namespace_ = std::string(string_at(reference, "namespace")),
          .name = std::string(string_at(reference, "name"))};
}

bool is_bound(const json::object& object) { return string_at(object, "status.phase") == "Bound"; }

bool is_default_class(const json::object& storage_class) {
  return kube::annotation_of(storage_class, kDefaultClassAnnotation) == "true";
}

}  // namespace

VolumeController::VolumeController(Shared& shared, std::string directory)
    : shared_(shared),
      directory_(std::move(directory)),
      claims_(shared.loop),
      volumes_(shared.loop),
      pods_(shared.loop),
      reconcile_claim_([this](NamespacedName key) { return reconcile_claim(std::move(key)); }),
      reconcile_volume_([this](NamespacedName key) { return reconcile_volume(std::move(key)); }),
      reconcile_pod_([this](NamespacedName key) { return reconcile_pod(std::move(key)); }) {
  shared_.persistent_volume_claims.on_change(
      [this](const ObjectPtr& before, const ObjectPtr& after) {
        const json::object& claim = after ? *after : *before;
        claims_.add(kube::key_of(claim));
        const std::string_view volume = string_at(claim, "spec.volumeName");
        if (!volume.empty()) volumes_.add({.name = std::string(volume)});
      });
  shared_.persistent_volumes.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    const json::object& volume = after ? *after : *before;
    volumes_.add(kube::key_of(volume));
    const NamespacedName key = claim_key(volume);
    if (!key.name.empty()) claims_.add(key);
    if (after && !is_bound(*after)) queue_unbound_claims();
  });
  shared_.storage_classes.on_change(
      [this](const ObjectPtr&, const ObjectPtr&) { queue_unbound_claims(); });
  shared_.pods.on_change([this](const ObjectPtr& before, const ObjectPtr& after) {
    const json::object& pod = after ? *after : *before;
    for (std::string& name : claims_of(pod)) {
      claims_.add({.namespace_ = std::string(kube::namespace_of(pod)), .name = std::move(name)});
    }
    // Only what is new: its volumes do not change.
    if (!before && !ephemeral_claims_of(pod).empty()) pods_.add(kube::key_of(pod));
  });
}

void VolumeController::queue_unbound_claims() {
  for (const auto& [key, claim] : shared_.persistent_volume_claims.objects()) {
    if (!is_bound(*claim)) claims_.add(key);
  }
}

rt::Task<void> VolumeController::run() {
  if (const auto made = co_await ensure_class(); !made) {
    log::warn("the StorageClass local-path could not be made", {{"why", made.error().message}});
  }
  rt::Scope workers(shared_.loop);
  workers.spawn(kubeclient::run_workers(shared_.loop, claims_, "volume-claim", reconcile_claim_,
                                        kConcurrency));
  workers.spawn(
      kubeclient::run_workers(shared_.loop, volumes_, "volume", reconcile_volume_, kConcurrency));
  workers.spawn(kubeclient::run_workers(shared_.loop, pods_, "ephemeral-volume", reconcile_pod_,
                                        kConcurrency));
  co_await workers.idle();
}

rt::Task<ApiResult<void>> VolumeController::ensure_class() {
  json::object storage_class{
      {"apiVersion", "storage.k8s.io/v1"},
      {"kind", "StorageClass"},
      {"metadata",
       {{"name", kLocalPathClass}, {"annotations", {{kDefaultClassAnnotation, "true"}}}}},
      {"provisioner", kube::kLocalPathProvisioner},
      {"reclaimPolicy", "Delete"},
      {"volumeBindingMode", "Immediate"}};
  const auto made =
      co_await shared_.client.create(kubeclient::kStorageClasses, std::move(storage_class));
  if (!made && !made.error().is(kube::Reason::already_exists)) co_return made.error();
  if (made) shared_.storage_classes.observe(*made);
  co_return ApiResult<void>();
}

rt::Task<ApiResult<ObjectPtr>> VolumeController::write(kubeclient::Cache& cache, ObjectPtr before,
                                                       json::object after) {
  if (after == *before) co_return before;
  CO_TRY(ObjectPtr written, co_await shared_.client.update(cache.resource(), std::move(after), ""));
  cache.observe(written);
  co_return written;
}

void VolumeController::say(const json::object& claim, EventType type, std::string reason,
                           std::string message) {
  shared_.events.record(claim,
                        {.type = type, .reason = std::move(reason), .message = std::move(message)});
}

// ------------------------------------------------------------------------------------ claims

rt::Task<ApiResult<Reconciled>> VolumeController::reconcile_claim(NamespacedName key) {
  ObjectPtr claim = shared_.persistent_volume_claims.get(key);
  if (!claim) co_return Reconciled{};
  if (kube::is_deleting(*claim)) {
    CO_TRY_VOID(co_await release(claim));
    co_return Reconciled{};
  }
  CO_TRY(claim, co_await prepare(claim));
  if (is_bound(*claim) || string_at(*claim, "status.phase") == "Lost") {
    CO_TRY_VOID(co_await keep_bound(claim));
    co_return Reconciled{};
  }
  std::vector<ObjectPtr> volumes;
  volumes.reserve(shared_.persistent_volumes.objects().size());
  for (const auto& [name, volume] : shared_.persistent_volumes.objects()) {
    volumes.push_back(volume);
  }
  const ObjectPtr volume = volume_for(*claim, volumes);
  if (volume) {
    CO_TRY_VOID(co_await bind(claim, volume));
  } else {
    CO_TRY_VOID(co_await provide(claim));
  }
  co_return Reconciled{};
}

// It is not to go while a pod uses it, and has a class from now on, also if one becomes the default
// later.
rt::Task<ApiResult<ObjectPtr>> VolumeController::prepare(ObjectPtr claim) {
  json::object prepared = *claim;
  kube::add_finalizer(prepared, kClaimProtection);
  const std::string_view fallback = default_class();
  if (names_no_class(*claim) && string_at(*claim, "spec.volumeName").empty() && !fallback.empty()) {
    kube::set_at(prepared, "spec.storageClassName", json::value(fallback));
  }
  return write(shared_.persistent_volume_claims, std::move(claim), std::move(prepared));
}

// The newest of several.
std::string_view VolumeController::default_class() const {
  std::string_view name;
  std::string_view made;
  for (const auto& [key, storage_class] : shared_.storage_classes.objects()) {
    const std::string_view time = string_at(*storage_class, "metadata.creationTimestamp");
    if (!is_default_class(*storage_class) || (!name.empty() && time <= made)) continue;
    name = key.name;
    made = time;
  }
  return name;
}

// The volume first: that is what makes it this claim's, and what is begun is found again.
rt::Task<ApiResult<void>> VolumeController::bind(ObjectPtr claim, ObjectPtr volume) {
  CO_TRY(volume, co_await write(shared_.persistent_volumes, volume, bound_volume(*volume, *claim)));
  CO_TRY(claim,
         co_await write(shared_.persistent_volume_claims, claim, bound_claim(*claim, *volume)));
  json::object bound = *claim;
  bound["status"] = bound_status(*claim, *volume);
  co_return co_await write_status(shared_, shared_.persistent_volume_claims, claim,
                                  std::move(bound));
}

rt::Task<ApiResult<void>> VolumeController::keep_bound(ObjectPtr claim) {
  const std::string name(string_at(*claim, "spec.volumeName"));
  const ObjectPtr volume = shared_.persistent_volumes.get({.name = name});
  json::object changed = *claim;
  if (volume && is_claimed_by(*volume, *claim)) {
    changed["status"] = bound_status(*claim, *volume);
  } else {
    kube::set_at(changed, "status.phase", "Lost");
    if (is_bound(*claim)) {
      say(*claim, EventType::warning, "ClaimLost",
          "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
    }
  }
  co_return co_await write_status(shared_, shared_.persistent_volume_claims, claim,
                                  std::move(changed));
}

rt::Task<ApiResult<void>> VolumeController::provide(ObjectPtr claim) {
  // One that was asked for by name is waited for.
  if (!string_at(*claim, "spec.volumeName").empty()) co_return ApiResult<void>();
  const std::string name(class_of(*claim));
  if (name.empty()) {
    say(*claim, EventType::normal, "FailedBinding",
        "no persistent volumes available for this claim and no storage class is set");
    co_return ApiResult<void>();
  }
  const ObjectPtr storage_class = shared_.storage_classes.get({.name = name});
  if (!storage_class) {
    say(*claim, EventType::warning, "ProvisioningFailed",
        fmt::format("storageclass.storage.k8s.io \"{}\" not found", name));
    co_return ApiResult<void>();
  }
  if (string_at(*storage_class, "volumeBindingMode") == "WaitForFirstConsumer" &&
      !is_used(*claim)) {
    say(*claim, EventType::normal, "WaitForFirstConsumer",
        "waiting for first consumer to be created before binding");
    co_return ApiResult<void>();
  }
  const std::string_view provisioner = string_at(*storage_class, "provisioner");
  if (provisioner == kube::kLocalPathProvisioner) {
    co_return co_await provide_local(claim, storage_class);
  }
  if (provisioner != kNoProvisioner) {
    say(*claim, EventType::normal, "ExternalProvisioning",
        fmt::format("Waiting for a volume to be created either by the external provisioner '{}' or "
                    "manually by the system administrator.",
                    provisioner));
  }
  co_return ApiResult<void>();
}

rt::Task<ApiResult<void>> VolumeController::provide_local(ObjectPtr claim,
                                                          ObjectPtr storage_class) {
  std::string refusal;
  if (string_at(*claim, "spec.volumeMode", "Filesystem") != "Filesystem") {
    refusal = "volumes of class local-path are directories: volumeMode must be Filesystem";
  } else if (kube::find(*claim, "spec.selector") != nullptr) {
    refusal = "claim.Spec.Selector is not supported for dynamic provisioning";
  }
  if (!refusal.empty()) {
    say(*claim, EventType::warning, "ProvisioningFailed", std::move(refusal));
    co_return ApiResult<void>();
  }
  auto made = co_await shared_.client.create(kubeclient::kPersistentVolumes,
                                             provision(*claim, *storage_class, directory_));
  // Then the cache has not shown it yet, and will.
  if (!made && made.error().is(kube::Reason::already_exists)) co_return ApiResult<void>();
  if (!made) co_return std::move(made).error();
  shared_.persistent_volumes.observe(*made);
  say(*claim, EventType::normal, "ProvisioningSucceeded",
      fmt::format("Successfully provisioned volume {}", kube::name_of(**made)));
  co_return co_await bind(claim, *made);
}

// A pod that waits for a node does not use it yet: once it has one it does not start any more.
bool VolumeController::is_used(const json::object& claim) const {
  const auto uses_it = [&claim](const ObjectPtr& pod) {
    if (kube::has_ended(*pod) || string_at(*pod, "spec.nodeName").empty()) return false;
    const auto names = claims_of(*pod);
    return std::ranges::find(names, kube::name_of(claim)) != names.end();
  };
  return std::ranges::any_of(in_namespace(shared_.pods, kube::namespace_of(claim)), uses_it);
}

rt::Task<ApiResult<void>> VolumeController::release(ObjectPtr claim) {
  json::object released = *claim;
  if (!kube::remove_finalizer(released, kClaimProtection) || is_used(*claim)) {
    co_return ApiResult<void>();
  }
  const auto written =
      co_await shared_.client.update(kubeclient::kPersistentVolumeClaims, std::move(released), "");
  if (!written && !written.error().is(kube::Reason::not_found)) co_return written.error();
  co_return ApiResult<void>();
}

// ----------------------------------------------------------------------------------- volumes

rt::Task<ApiResult<Reconciled>> VolumeController::reconcile_volume(NamespacedName key) {
  ObjectPtr volume = shared_.persistent_volumes.get(key);
  if (!volume) co_return Reconciled{};
  CO_TRY(const ObjectPtr claim, co_await claim_of(volume));
  const std::string_view phase = volume_phase(*volume, claim);
  json::object changed = *volume;
  if (!kube::is_deleting(*volume)) {
    kube::add_finalizer(changed, kube::kVolumeProtection);
  } else if (phase != "Bound") {
    kube::remove_finalizer(changed, kube::kVolumeProtection);
  }
  auto written = co_await write(shared_.persistent_volumes, volume, std::move(changed));
  // Without its last finalizer it is gone.
  if (!written && written.error().is(kube::Reason::not_found)) co_return Reconciled{};
  if (!written) co_return std::move(written).error();
  if (!kube::is_deleting(*volume)) CO_TRY_VOID(co_await set_phase(*written, phase));
  co_return Reconciled{};
}

// What spec.claimRef names; null where there is no such claim. Data may be removed because of that:
// so it is the API's word, not the cache's.
rt::Task<ApiResult<ObjectPtr>> VolumeController::claim_of(ObjectPtr volume) {
  const NamespacedName key = claim_key(*volume);
  if (key.name.empty()) co_return ObjectPtr();
  if (const ObjectPtr known = shared_.persistent_volume_claims.get(key);
      known && is_claimed_by(*volume, *known)) {
    co_return known;
  }
  auto found = co_await shared_.client.get(kubeclient::kPersistentVolumeClaims,
                                           {.namespace_ = key.namespace_, .name = key.name});
  if (found) co_return *found;
  if (found.error().is(kube::Reason::not_found)) co_return ObjectPtr();
  co_return std::move(found).error();
}

rt::Task<ApiResult<void>> VolumeController::set_phase(ObjectPtr volume, std::string_view phase) {
  json::object changed = *volume;
  json::object& status = kube::ensure_object(changed, "status");
  const bool nobody_removes =
      phase == "Released" && string_at(*volume, "spec.persistentVolumeReclaimPolicy") != "Retain" &&
      kube::annotation_of(*volume, kube::kProvisionedBy) != kube::kLocalPathProvisioner;
  if (nobody_removes) {
    phase = "Failed";
    status["message"] = "only volumes that tulle.dev/local-path provisioned are reclaimed";
  }
  if (string_at(*volume, "status.phase") == phase) co_return ApiResult<void>();
  status["phase"] = phase;
  status["lastPhaseTransitionTime"] = kube::format_time(api_now(shared_.loop));
  co_return co_await write_status(shared_, shared_.persistent_volumes, volume, std::move(changed));
}

// ---------------------------------------------------------------------------------- ephemeral

rt::Task<ApiResult<Reconciled>> VolumeController::reconcile_pod(NamespacedName key) {
  const ObjectPtr pod = shared_.pods.get(key);
  if (!pod || !is_active(*pod)) co_return Reconciled{};
  for (json::object& claim : ephemeral_claims_of(*pod)) {
    auto made =
        co_await shared_.client.create(kubeclient::kPersistentVolumeClaims, std::move(claim));
    if (!made && !made.error().is(kube::Reason::already_exists)) co_return std::move(made).error();
  }
  co_return Reconciled{};
}

}  // namespace tulle::controllers
