#include "node/node_status.h"

#include "base/format.h"
#include "base/log.h"
#include "kube/object.h"
#include "kubeclient/resources.h"
#include "node/disk_room.h"
#include "node/image_files.h"
#include "node/image_manifest.h"
#include "rt/sleep.h"

#include <boost/json.hpp>

#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <algorithm>
#include <functional>
#include <optional>

namespace tulle::node {

namespace {

namespace json = boost::json;

constexpr Duration kRenew = std::chrono::seconds(10);
constexpr int kLeaseSeconds = 40;
constexpr Duration kDiskLook = std::chrono::seconds(5);
constexpr int kPodsMax = 110;
constexpr std::size_t kImagesListedMax = 50;
constexpr std::uint64_t kSmallFileMax = 64 * 1024;
constexpr const char* kLeaseNamespace = "kube-node-lease";

std::string file_line(const char* path) {
  std::string text = read_small_file(path, kSmallFileMax).value_or("");
  return text.substr(0, text.find('\n'));
}

std::string os_name() {
  const std::string text = read_small_file("/etc/os-release", kSmallFileMax).value_or("");
  const std::string key = "PRETTY_NAME=\"";
  const std::size_t at = text.find(key);
  if (at == std::string::npos) return "Linux";
  const std::size_t begin = at + key.size();
  return text.substr(begin, text.find('"', begin) - begin);
}

json::object node_info(const Node& node) {
  utsname kernel{};
  ::uname(&kernel);
  return {{"architecture", host_architecture()},
          {"bootID", file_line("/proc/sys/kernel/random/boot_id")},
          {"containerRuntimeVersion", fmt::format("{}://1", node.runtime.program())},
          {"kernelVersion", kernel.release},
          {"kubeProxyVersion", ""},
          {"kubeletVersion", "v1.35.0+tulle-" TULLE_VERSION},
          {"machineID", file_line("/etc/machine-id")},
          {"operatingSystem", "linux"},
          {"osImage", os_name()},
          {"systemUUID", file_line("/etc/machine-id")}};
}

// Of a disk that cannot be looked at nothing is known.
bool disk_is_scarce(const Node& node) {
  const auto room = disk_room(node.options.data_dir);
  return room && room->is_scarce();
}

void set_disk_condition(json::object& object, bool scarce, kube::Time now) {
  kube::Condition condition{.type = "DiskPressure",
                            .status = "False",
                            .reason = "KubeletHasNoDiskPressure",
                            .message = "kubelet has no disk pressure"};
  if (scarce) {
    condition.status = "True";
    condition.reason = "KubeletHasDiskPressure";
    condition.message = "hardly any space is left on the disk of the data directory";
  }
  kube::set_condition(object, condition, now);
}

void set_node_conditions(const Node& node, json::object& object) {
  const kube::Time now = api_now(node.loop);
  struct Sound {
    const char* type;
    const char* reason;
    const char* message;
  };
  for (const Sound& each :
       {Sound{"MemoryPressure", "KubeletHasSufficientMemory",
              "kubelet has sufficient memory available"},
        Sound{"PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"}}) {
    kube::set_condition(
        object,
        {.type = each.type, .status = "False", .reason = each.reason, .message = each.message},
        now);
  }
  set_disk_condition(object, disk_is_scarce(node), now);
  kube::set_condition(object,
                      {.type = "Ready",
                       .status = "True",
                       .reason = "KubeletReady",
                       .message = "kubelet is posting ready status"},
                      now);
  for (json::value& each : kube::ensure_array(object, "status.conditions")) {
    if (json::object* condition = each.if_object()) {
      (*condition)["lastHeartbeatTime"] = kube::format_time(now);
    }
  }
}

json::object new_node(const Node& node) {
  const std::string& name = node.options.node_name;
  json::object object{{"apiVersion", "v1"},
                      {"kind", "Node"},
                      {"metadata", {{"name", name}}},
                      {"spec", {{"podCIDR", node.options.pod_network.to_string()}}}};
  kube::set_label(object, "kubernetes.io/hostname", name);
  kube::set_label(object, "kubernetes.io/os", "linux");
  kube::set_label(object, "kubernetes.io/arch", host_architecture());
  return object;
}

void set_node_status(const Node& node, json::object& object) {
  json::object& status = kube::ensure_object(object, "status");
  status["capacity"] = node_capacity(node.options.data_dir);
  status["allocatable"] = status["capacity"];
  status["addresses"] =
      json::array{json::object{{"type", "InternalIP"}, {"address", kHostAddress.to_string()}},
                  json::object{{"type", "Hostname"}, {"address", node.options.node_name}}};
  status["nodeInfo"] = node_info(node);
  set_node_conditions(node, object);
}

json::object new_lease(const Node& node) {
  return {{"apiVersion", "coordination.k8s.io/v1"},
          {"kind", "Lease"},
          {"metadata", {{"name", node.options.node_name}, {"namespace", kLeaseNamespace}}},
          {"spec",
           {{"holderIdentity", node.options.node_name},
            {"leaseDurationSeconds", kLeaseSeconds},
            {"renewTime", kube::format_micro_time(api_now(node.loop))}}}};
}

rt::Task<kube::ApiResult<void>> renew_lease(Node& node) {
  const kubeclient::ObjectKey key{.namespace_ = kLeaseNamespace, .name = node.options.node_name};
  auto current = co_await node.client.get(kubeclient::kLeases, key);
  if (!current) {
    if (!current.error().is(kube::Reason::not_found)) co_return std::move(current).error();
    auto created = co_await node.client.create(kubeclient::kLeases, new_lease(node));
    if (!created) co_return std::move(created).error();
    co_return kube::ApiResult<void>();
  }
  json::object lease = **current;
  kube::set_at(lease, "spec", new_lease(node)["spec"]);
  auto written = co_await node.client.update(kubeclient::kLeases, std::move(lease), "");
  if (!written) co_return std::move(written).error();
  co_return kube::ApiResult<void>();
}

json::array listed_images(std::vector<StoredImage> images) {
  std::ranges::sort(images, std::greater(), &StoredImage::size);
  if (images.size() > kImagesListedMax) images.resize(kImagesListedMax);
  json::array out;
  for (const StoredImage& image : images) {
    json::array names;
    for (const std::string& name : image.names) names.emplace_back(name);
    out.push_back(json::object{{"names", std::move(names)}, {"sizeBytes", image.size}});
  }
  return out;
}

rt::Task<Result<void>> list_images(Node& node) {
  CO_TRY(auto images, co_await rt::run_blocking(
                          node.blocking, [store = node.images.store()] { return store.images(); }));
  json::object status{{"images", listed_images(std::move(images))}};
  auto written = co_await node.client.patch(kubeclient::kNodes, {.name = node.options.node_name},
                                            kubeclient::PatchType::merge,
                                            json::object{{"status", std::move(status)}}, "status");
  if (!written) co_return kube::to_error(written.error());
  co_return Result<void>();
}

// Returns whether the API has it. On a full disk it does not: it is tried again.
rt::Task<bool> tell_disk(Node& node, bool scarce) {
  const auto current =
      co_await node.client.get(kubeclient::kNodes, {.name = node.options.node_name});
  if (!current) co_return false;
  json::object object = **current;
  set_disk_condition(object, scarce, api_now(node.loop));
  if (object == **current) co_return true;
  const auto written = co_await node.client.update(kubeclient::kNodes, std::move(object), "status");
  if (!written) co_return false;
  const char* reason = scarce ? "NodeHasDiskPressure" : "NodeHasNoDiskPressure";
  node.events.record(**written, {.reason = reason,
                                 .message = fmt::format("Node {} status is now: {}",
                                                        node.options.node_name, reason)});
  co_return true;
}

}  // namespace

rt::Task<void> watch_disk(Node& node) {
  std::optional<bool> told;
  for (;;) {
    const bool scarce = disk_is_scarce(node);
    if (told != scarce) {
      if (scarce && told == false) {
        log::warn("hardly any space is left on the disk of the data directory",
                  {{"folder", node.options.data_dir}});
      }
      if (co_await tell_disk(node, scarce)) told = scarce;
    }
    co_await rt::sleep(node.loop, kDiskLook);
  }
}

json::object node_capacity(const std::string& data_dir) {
  struct sysinfo memory{};
  ::sysinfo(&memory);
  const std::uint64_t kib = std::uint64_t{memory.totalram} * memory.mem_unit / 1024;
  return {{"cpu", std::to_string(::sysconf(_SC_NPROCESSORS_ONLN))},
          {"memory", fmt::format("{}Ki", kib)},
          {"ephemeral-storage",
           fmt::format("{}Ki", disk_room(data_dir).value_or(DiskRoom()).capacity / 1024)},
          {"pods", std::to_string(kPodsMax)}};
}

rt::Task<kube::ApiResult<void>> register_node(Node& node) {
  auto known = co_await node.client.get(kubeclient::kNodes, {.name = node.options.node_name});
  if (!known && known.error().is(kube::Reason::not_found)) {
    known = co_await node.client.create(kubeclient::kNodes, new_node(node));
  }
  if (!known) co_return std::move(known).error();
  json::object object = **known;
  set_node_status(node, object);
  auto written = co_await node.client.update(kubeclient::kNodes, std::move(object), "status");
  if (!written) co_return std::move(written).error();
  co_return kube::ApiResult<void>();
}

rt::Task<void> keep_images_listed(Node& node) {
  std::optional<ImageVersion> listed;
  for (;;) {
    const ImageVersion version = node.images.version();
    if (version != listed) {
      const auto done = co_await list_images(node);
      if (done) {
        listed = version;
      } else {
        log::warn("the node's images cannot be listed", {{"why", done.error().message}});
      }
    }
    co_await rt::sleep(node.loop, kRenew);
  }
}

rt::Task<void> keep_lease(Node& node) {
  bool complained = false;
  for (;;) {
    const auto renewed = co_await renew_lease(node);
    if (!renewed && !complained) {
      log::warn("the node's lease cannot be renewed", {{"why", renewed.error().message}});
    }
    complained = !renewed;
    co_await rt::sleep(node.loop, kRenew);
  }
}

}  // namespace tulle::node
