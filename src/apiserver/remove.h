// DELETE of an object and of a collection.
#pragma once

#include "apiserver/context.h"
#include "apiserver/write.h"
#include "rt/task.h"

#include <optional>

namespace tulle::apiserver {

rt::Task<kube::ApiResult<ApiResponse>> delete_object(Context& context, const Call& call);
rt::Task<kube::ApiResult<ApiResponse>> delete_collection(Context& context, const Call& call);

// metav1.DeleteOptions, from the body or the query.
struct DeleteOptions {
  std::optional<std::int64_t> grace_seconds = std::nullopt;
  std::string propagation_policy = {};  // "": whatever the finalizers say
  std::string uid = {};                 // preconditions
  std::string resource_version = {};
  bool dry_run = false;
};
// Takes from a DeleteOptions document what it says.
kube::ApiResult<void> read_delete_options(const boost::json::object& body, DeleteOptions& options);

// 409 where the object is not the one that the options name.
kube::ApiResult<void> check_preconditions(const Call& call, const DeleteOptions& options,
                                          const boost::json::object& object);

// Deletes one object, or begins to.
rt::Task<kube::ApiResult<Outcome>> remove_object(Context& context, const Call& call,
                                                 DeleteOptions options);

}  // namespace tulle::apiserver
