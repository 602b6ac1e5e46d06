#include "node/local_volumes.h"

#include "kube/object.h"
#include "kube/storage.h"
#include "kubeclient/resources.h"
#include "node/image_files.h"

#include <boost/json.hpp>

namespace tulle::node {

namespace {

namespace json = boost::json;

constexpr std::size_t kConcurrency = 2;

bool is_to_be_deleted(const json::object& volume) {
  return kube::string_at(volume, "spec.persistentVolumeReclaimPolicy") == "Delete";
}

}  // namespace

LocalVolumes::LocalVolumes(Node& node, Random random)
    : node_(node),
      volumes_(node.loop, node.client, random, kubeclient::kPersistentVolumes),
      queue_(node.loop),
      reconcile_([this](kube::NamespacedName key) { return reconcile(std::move(key)); }),
      scope_(node.loop) {
  volumes_.on_change([this](const kubeclient::ObjectPtr&, const kubeclient::ObjectPtr& after) {
    if (after) queue_.add(kube::key_of(*after));
  });
}

void LocalVolumes::start() {
  volumes_.start();
  scope_.spawn(
      kubeclient::run_workers(node_.loop, queue_, "local-volume", reconcile_, kConcurrency));
}

rt::Task<kube::ApiResult<kubeclient::Reconciled>> LocalVolumes::reconcile(
    kube::NamespacedName key) {
  const kubeclient::ObjectPtr volume = volumes_.get(key);
  if (!volume ||
      kube::annotation_of(*volume, kube::kProvisionedBy) != kube::kLocalPathProvisioner) {
    co_return kubeclient::Reconciled{};
  }
  if (kube::is_deleting(*volume)) {
    const bool is_claimed = kube::has_finalizer(*volume, kube::kVolumeProtection);
    if (!is_claimed) CO_TRY_VOID(co_await let_go(volume));
    co_return kubeclient::Reconciled{};
  }
  if (kube::string_at(*volume, "status.phase") == "Released" && is_to_be_deleted(*volume)) {
    const auto removed =
        co_await node_.client.remove(kubeclient::kPersistentVolumes, {.name = key.name},
                                     {.uid = std::string(kube::uid_of(*volume))});
    if (!removed && !removed.error().is(kube::Reason::not_found)) co_return removed.error();
  }
  co_return kubeclient::Reconciled{};
}

// The directory first: an object without a directory is only told apart by this finalizer.
rt::Task<kube::ApiResult<void>> LocalVolumes::let_go(kubeclient::ObjectPtr volume) {
  json::object released = *volume;
  if (!kube::remove_finalizer(released, kube::kLocalPathProvisioner)) {
    co_return kube::ApiResult<void>();
  }
  if (is_to_be_deleted(*volume)) {
    // By name, not by spec.hostPath, which could say anything.
    std::string directory = kube::local_volumes_directory(node_.options.data_dir) + "/" +
                            std::string(kube::name_of(*volume));
    const auto removed = co_await rt::run_blocking(
        node_.blocking, [directory = std::move(directory)] { return remove_tree(directory); });
    if (!removed) co_return kube::internal_error(removed.error().message);
  }
  const auto written =
      co_await node_.client.update(kubeclient::kPersistentVolumes, std::move(released), "");
  if (!written && !written.error().is(kube::Reason::not_found)) co_return written.error();
  co_return kube::ApiResult<void>();
}

}  // namespace tulle::node
