#include "node/pod_context.h"

#include "kube/object.h"
#include "kubeclient/resources.h"
#include "node/node_status.h"

#include <boost/json.hpp>

namespace tulle::node {

namespace {

rt::Task<kube::ApiResult<void>> fetch(Node& node, kubeclient::Resource resource,
                                      std::string namespace_, std::set<std::string> names,
                                      std::map<std::string, kubeclient::ObjectPtr>& into) {
  for (const std::string& name : names) {
    auto found = co_await node.client.get(resource, {.namespace_ = namespace_, .name = name});
    if (found) {
      into[name] = *std::move(found);
    } else if (!found.error().is(kube::Reason::not_found)) {
      co_return std::move(found).error();
    }
  }
  co_return kube::ApiResult<void>();
}

}  // namespace

PodPlace place_of(const Node& node, const boost::json::object& pod) {
  return {.data_dir = node.options.data_dir,
          .namespace_ = std::string(kube::namespace_of(pod)),
          .name = std::string(kube::name_of(pod)),
          .uid = std::string(kube::uid_of(pod))};
}

rt::Task<kube::ApiResult<References>> fetch_references(Node& node, kubeclient::ObjectPtr pod) {
  const ReferenceNames names = references_of(*pod);
  const std::string namespace_(kube::namespace_of(*pod));
  References references;
  CO_TRY_VOID(co_await fetch(node, kubeclient::kConfigMaps, namespace_, names.config_maps,
                             references.config_maps));
  CO_TRY_VOID(
      co_await fetch(node, kubeclient::kSecrets, namespace_, names.secrets, references.secrets));
  CO_TRY_VOID(co_await fetch(node, kubeclient::kPersistentVolumeClaims, namespace_, names.claims,
                             references.claims));
  for (const auto& [name, claim] : references.claims) {
    std::string volume(kube::string_at(*claim, "spec.volumeName"));
    if (volume.empty()) continue;
    auto found =
        co_await node.client.get(kubeclient::kPersistentVolumes, {.name = std::move(volume)});
    if (found) {
      references.volumes[name] = *std::move(found);
    } else if (!found.error().is(kube::Reason::not_found)) {
      co_return std::move(found).error();
    }
  }
  co_return references;
}

EnvironmentSources sources_of(const PodContext& context, const References& references) {
  EnvironmentSources sources{.pod = *context.pod,
                             .pod_address = context.address,
                             .host_address = kHostAddress,
                             .references = references,
                             .services = {},
                             .allocatable = node_capacity(context.node.options.data_dir)};
  const bool links = kube::bool_at(*context.pod, "spec.enableServiceLinks", true);
  for (const auto& [key, service] : context.node.services.objects()) {
    const bool own = key.namespace_ == context.place.namespace_;
    const bool api = key.namespace_ == "default" && key.name == "kubernetes";
    if (api || (own && links)) sources.services.push_back(service);
  }
  return sources;
}

}  // namespace tulle::node
