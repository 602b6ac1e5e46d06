#include "apiserver/admission.h"

#include "apiserver/strategy.h"
#include "base/format.h"
#include "kube/object.h"

#include <boost/json.hpp>

#include <algorithm>
#include <array>

namespace tulle::apiserver {

namespace json = boost::json;

namespace {

constexpr std::array<std::string_view, 3> eternal_namespaces{"default", "kube-system",
                                                             "kube-public"};

}  // namespace

kube::ApiResult<void> admit_to_namespace(Context& context, const Call& call,
                                         std::string_view name) {
  if (!call.kind->namespaced) return {};
  const kube::GroupResource namespaces{"", "namespaces"};
  kube::KindRef kind = context.scheme.find_resource("", "v1", "namespaces");
  if (!kind) return {};
  store::ItemRef item = context.store.head(Objects::key(*kind, "", call.namespace_));
  if (!item) return kube::not_found(namespaces, call.namespace_);
  if (!kube::is_deleting(*context.objects.document(*kind, item))) return {};
  kube::ApiStatus status = kube::forbidden(
      call.resource(), name,
      fmt::format("unable to create new content in namespace {} because it is being terminated",
                  call.namespace_));
  status.causes.push_back(
      {.reason = "NamespaceTerminating",
       .message = fmt::format("namespace {} is being terminated", call.namespace_),
       .field = "metadata.namespace"});
  return status;
}

void adopt_service_account(Context& context, json::object& pod) {
  if (!kube::array_at(pod, "spec.imagePullSecrets").empty()) return;
  const kube::KindRef kind = context.scheme.find_resource("", "v1", "serviceaccounts");
  if (!kind) return;
  const std::string_view name = kube::string_at(pod, "spec.serviceAccountName", "default");
  const store::ItemRef item =
      context.store.head(Objects::key(*kind, kube::namespace_of(pod), name));
  if (!item) return;
  const DocumentRef account = context.objects.document(*kind, item);
  const json::array& secrets = kube::array_at(*account, "imagePullSecrets");
  if (!secrets.empty()) kube::set_at(pod, "spec.imagePullSecrets", secrets);
}

kube::ApiResult<void> admit_deletion(const Call& call) {
  bool eternal = std::ranges::find(eternal_namespaces, call.name) != eternal_namespaces.end();
  if (!is_namespace(*call.kind) || !eternal) return {};
  return kube::forbidden(call.resource(), call.name, "this namespace may not be deleted");
}

}  // namespace tulle::apiserver
