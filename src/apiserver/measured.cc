#include "apiserver/measured.h"

#include "apiserver/list_query.h"
#include "apiserver/read.h"
#include "apiserver/resource_metrics.h"
#include "kube/object.h"

#include <boost/json.hpp>

namespace tulle::apiserver {

namespace json = boost::json;

namespace {

bool is_asked_for(const Call& call, const json::object& object) {
  if (!call.name.empty() && kube::name_of(object) != call.name) return false;
  return call.namespace_.empty() || kube::namespace_of(object) == call.namespace_;
}

}  // namespace

kube::ApiResult<ApiResponse> answer_measured(Context& context, const Call& call) {
  TRY(Representation representation, negotiate(call.request.accept));
  TRY(ListQuery query, parse_list_query(call.request.query, *call.kind));
  if (context.metrics == nullptr) {
    return kube::service_unavailable("nothing is measured in this process");
  }
  ResourceMetrics::Documents found =
      call.kind->namespaced ? context.metrics->pods() : context.metrics->nodes();
  std::erase_if(found, [&](const DocumentRef& each) {
    return !is_asked_for(call, *each) || !query.matches(*each);
  });
  if (call.name.empty()) return show_list(context, call, representation, json::object(), found);
  if (found.empty()) return kube::not_found(call.resource(), call.name);
  return show(context, *call.kind, representation, call.request.query.get_or("includeObject", ""),
              200, found.front());
}

}  // namespace tulle::apiserver
