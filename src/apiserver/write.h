// POST, PUT and PATCH of objects and of the subresources that are parts of them.
#pragma once

#include "apiserver/context.h"
#include "apiserver/input.h"
#include "rt/task.h"

#include <boost/json/fwd.hpp>

namespace tulle::apiserver {

// How many names are tried for generateName.
inline constexpr int generate_name_attempts_max = 8;

rt::Task<kube::ApiResult<ApiResponse>> create_object(Context& context, const Call& call);
rt::Task<kube::ApiResult<ApiResponse>> update_object(Context& context, const Call& call);
rt::Task<kube::ApiResult<ApiResponse>> patch_object(Context& context, const Call& call);

// An object as a write finds it: with the writes that are on their way to the disk.
struct Live {
  store::ItemRef item;
  DocumentRef document;
};
// 404 where there is none.
kube::ApiResult<Live> live_object(Context& context, const Call& call);

// What a write came to: the object as it is now, or is not any more.
struct Outcome {
  DocumentRef document;
  store::ItemRef item;  // null where nothing was stored (dry run)
  bool removed = false;
};

struct UpdateOptions {
  std::string_view subresource;  // what of the object may change; "" is all but status
  bool dry_run = false;
};

// Makes `object`, a changed copy of `live`, the new state: fills in, checks, stores. Nothing is
// stored if nothing changed. An object whose deletion waited for this is removed.
rt::Task<kube::ApiResult<Outcome>> apply_update(Context& context, const Call& call, Live live,
                                                boost::json::object object, UpdateOptions options);

// The outcome as the client asked to see it.
kube::ApiResult<ApiResponse> show_outcome(Context& context, const Call& call, int status,
                                          const Outcome& outcome,
                                          const std::vector<std::string>& warnings);

}  // namespace tulle::apiserver
