#include "cli/apply.h"

#include "base/format.h"
#include "cli/text_table.h"
#include "kube/object.h"
#include "kubeclient/resources.h"

#include <boost/json.hpp>

#include <set>

namespace tulle::cli {

namespace {

namespace json = boost::json;
using kube::ApiResult;

kubeclient::Resource resource_of(const kube::KindDefinition& kind) {
  return {.group = kind.group,
          .version = kind.version,
          .plural = kind.plural,
          .kind = kind.kind,
          .namespaced = kind.namespaced};
}

std::string title(const Manifest& manifest) {
  return fmt::format("{}/{}", manifest.kind->singular, kube::name_of(manifest.object));
}

rt::Task<ApiResult<std::string>> apply_one(kubeclient::Client& client, const Manifest& manifest) {
  const kubeclient::Resource resource = resource_of(*manifest.kind);
  json::object object = manifest.object;
  if (resource.namespaced && kube::namespace_of(object).empty()) {
    kube::set_at(object, "metadata.namespace", json::value("default"));
  }
  const kubeclient::ObjectKey key{.namespace_ = std::string(kube::namespace_of(object)),
                                  .name = std::string(kube::name_of(object))};
  const auto existing = co_await client.get(resource, key);
  if (!existing) {
    if (!existing.error().is(kube::Reason::not_found)) co_return existing.error();
    CO_TRY_VOID(co_await client.create(resource, std::move(object)));
    co_return std::string("created");
  }
  const auto type =
      manifest.kind->builtin ? kubeclient::PatchType::strategic : kubeclient::PatchType::merge;
  CO_TRY(const auto patched, co_await client.patch(resource, key, type, std::move(object), {}));
  const bool same = kube::resource_version_of(**existing) == kube::resource_version_of(*patched);
  co_return std::string(same ? "unchanged" : "configured");
}

bool is_available(const json::object& deployment) {
  const std::int64_t wanted = kube::integer_at(deployment, "spec.replicas", 1);
  return kube::integer_at(deployment, "status.observedGeneration") >=
             kube::generation_of(deployment) &&
         kube::integer_at(deployment, "status.updatedReplicas") == wanted &&
         kube::integer_at(deployment, "status.availableReplicas") == wanted;
}

std::string progress_of(const json::object& deployment) {
  return fmt::format("{}: {} of {} ready", kube::name_of(deployment),
                     kube::integer_at(deployment, "status.readyReplicas"),
                     kube::integer_at(deployment, "spec.replicas", 1));
}

// Why a container of one of the namespace's pods does not start, e.g. because of its image.
rt::Task<ApiResult<void>> say_what_pods_wait_for(kubeclient::Client& client, std::string namespace_,
                                                 std::set<std::string>& said, const Say& say) {
  CO_TRY(const auto pods, co_await client.list(kubeclient::kPods, {.namespace_ = namespace_}));
  for (const auto& pod : pods.items) {
    for (const auto& value : kube::array_at(*pod, "status.containerStatuses")) {
      const auto& waiting = kube::object_at(kube::object_or_empty(value), "state.waiting");
      const std::string reason(kube::string_at(waiting, "reason"));
      if (reason.empty() || reason == "ContainerCreating" || reason == "PodInitializing") continue;
      std::string line =
          fmt::format("{}: {}: {}", kube::string_at(kube::object_or_empty(value), "image"), reason,
                      kube::string_at(waiting, "message"));
      if (said.insert(line).second) say(line);
    }
  }
  co_return ApiResult<void>();
}

rt::Task<ApiResult<void>> wait_for(kubeclient::Client& client, kubeclient::ObjectKey key,
                                   const Say& say) {
  std::set<std::string> said;
  std::string last;
  for (;;) {
    CO_TRY(const auto listed,
           co_await client.list(
               kubeclient::kDeployments,
               {.namespace_ = key.namespace_, .field_selector = "metadata.name=" + key.name}));
    if (listed.items.empty()) co_return ApiResult<void>();
    kubeclient::ObjectPtr deployment = listed.items.front();
    CO_TRY(const auto watch, co_await client.watch(kubeclient::kDeployments,
                                                   {.namespace_ = key.namespace_,
                                                    .field_selector = "metadata.name=" + key.name},
                                                   listed.resource_version));
    for (;;) {
      if (std::string now = progress_of(*deployment); now != last) say(last = std::move(now));
      if (is_available(*deployment)) co_return ApiResult<void>();
      CO_TRY_VOID(co_await say_what_pods_wait_for(client, key.namespace_, said, say));
      auto event = co_await watch->next();
      if (!event) break;  // ended in order: list again
      if (event->type == kubeclient::WatchType::deleted) co_return ApiResult<void>();
      if (event->type != kubeclient::WatchType::bookmark) deployment = event->object;
    }
  }
}

std::string ports_of(const json::object& service) {
  std::string text;
  for (const auto& value : kube::array_at(service, "spec.ports")) {
    const auto& port = kube::object_or_empty(value);
    if (!text.empty()) text += ",";
    text += std::to_string(kube::integer_at(port, "port"));
  }
  return text;
}

}  // namespace

rt::Task<Result<void>> apply(kubeclient::Client& client, const std::vector<Manifest>& manifests,
                             Say say) {
  for (const Manifest& manifest : manifests) {
    const auto done = co_await apply_one(client, manifest);
    if (!done) {
      co_return fail(Code::invalid_argument, manifest.place + ": " + done.error().message);
    }
    say(title(manifest) + " " + *done);
  }
  co_return Result<void>();
}

rt::Task<Result<void>> wait_until_available(kubeclient::Client& client,
                                            const std::vector<Manifest>& manifests, Say say) {
  for (const Manifest& manifest : manifests) {
    if (manifest.kind->kind != "Deployment") continue;
    const std::string_view space = kube::namespace_of(manifest.object);
    const auto done =
        co_await wait_for(client,
                          {.namespace_ = std::string(space.empty() ? "default" : space),
                           .name = std::string(kube::name_of(manifest.object))},
                          say);
    if (!done) co_return kube::to_error(done.error());
  }
  co_return Result<void>();
}

rt::Task<Result<std::string>> describe_services(kubeclient::Client& client) {
  auto services = co_await client.list(kubeclient::kServices, {});
  if (!services) co_return kube::to_error(services.error());
  TextTable table({"NAMESPACE", "SERVICE", "TYPE", "ADDRESS", "PORTS"});
  for (const auto& service : services->items) {
    table.add({std::string(kube::namespace_of(*service)), std::string(kube::name_of(*service)),
               std::string(kube::string_at(*service, "spec.type")),
               std::string(kube::string_at(*service, "spec.clusterIP")), ports_of(*service)});
  }
  co_return table.text();
}

}  // namespace tulle::cli
