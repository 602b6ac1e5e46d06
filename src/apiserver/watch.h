// Watches over HTTP (one JSON document per line) and in the process.
#pragma once

#include "apiserver/event_stream.h"
#include "apiserver/negotiate.h"
#include "http/server.h"

#include <memory>

namespace tulle::apiserver {

// How many events that wait are put into one write.
inline constexpr std::size_t watch_batch_events_max = 64;

// Serves a watch until it ends or the client leaves. A watch that cannot begin is answered as any
// other failure: that error is returned, and nothing was sent.
rt::Task<kube::ApiResult<void>> serve_watch(Context& context, const Call& call,
                                            http::Exchange& exchange);

kube::ApiResult<std::unique_ptr<kubeclient::Watch>> open_local_watch(Context& context,
                                                                     const Call& call);

}  // namespace tulle::apiserver
