// GET of an object and of a collection.
#pragma once

#include "apiserver/context.h"
#include "apiserver/list_query.h"
#include "apiserver/negotiate.h"

#include <boost/json/fwd.hpp>

namespace tulle::apiserver {

kube::ApiResult<ApiResponse> get_object(Context& context, const Call& call);
kube::ApiResult<ApiResponse> list_objects(Context& context, const Call& call);

// Shows one document as the client asked for it.
ApiResponse show(Context& context, const kube::KindDefinition& kind, Representation representation,
                 std::string_view include_object, int status, const DocumentRef& document);

// The same of a list, with its metadata.
ApiResponse show_list(Context& context, const Call& call, Representation representation,
                      const boost::json::object& metadata,
                      const std::vector<DocumentRef>& documents);

// The columns of a kind's table.
std::span<const kube::Column> table_columns(const kube::KindDefinition& kind);

// The items of the collection (and namespace) that the query selects, without paging.
std::vector<store::ItemRef> select_items(Context& context, const Call& call, const ListQuery& query,
                                         std::vector<store::ItemRef> items);

}  // namespace tulle::apiserver
