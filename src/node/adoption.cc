#include "node/adoption.h"

#include "codec/json.h"
#include "kube/object.h"
#include "node/image_files.h"
#include "node/pod_worker.h"

#include <boost/json.hpp>

#include <filesystem>
#include <set>

namespace tulle::node {

namespace {

namespace json = boost::json;
using kube::string_at;

constexpr std::uint64_t kRecordBytesMax = 64 * 1024;

std::set<std::string> living(const kubeclient::Cache& pods, const std::string& node_name) {
  std::set<std::string> uids;
  for (const auto& [key, pod] : pods.objects()) {
    if (string_at(*pod, "spec.nodeName") == node_name) uids.emplace(kube::uid_of(*pod));
  }
  return uids;
}

// From the pod's record; the logs of one without a record stay.
PodPlace read_place(const Node& node, const std::string& uid) {
  PodPlace place{.data_dir = node.options.data_dir, .namespace_ = {}, .name = {}, .uid = uid};
  const auto text = read_small_file(place.record(), kRecordBytesMax);
  const auto record = text ? codec::parse_json(*text) : Result<json::value>(text.error());
  if (!record) return place;
  const json::object& document = kube::object_or_empty(*record);
  place.namespace_ = string_at(document, "namespace");
  place.name = string_at(document, "name");
  return place;
}

}  // namespace

rt::Task<void> remove_strangers(Node& node, const kubeclient::Cache& pods) {
  const std::set<std::string> known = living(pods, node.options.node_name);
  std::vector<PodPlace> strangers;
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator(PodPlace::all_pods(node.options.data_dir), error)) {
    const std::string uid = entry.path().filename();
    if (!known.contains(uid)) strangers.push_back(read_place(node, uid));
  }
  for (const PodPlace& place : strangers) co_await remove_pod_remains(node, place);
  const auto owners = co_await rt::run_blocking(
      node.blocking, [store = node.images.store()] { return store.pinned(); });
  if (!owners) co_return;
  for (const std::string& owner : *owners) {
    if (!known.contains(owner.substr(0, owner.find('.')))) co_await node.images.unpin(owner);
  }
}

}  // namespace tulle::node
