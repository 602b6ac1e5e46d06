// One accepted connection, from its first byte to its end: recognised, then carried as HTTP
// requests or as plain bytes.
#pragma once

#include "proxy/context.h"

namespace tulle::proxy {

// `context` must outlive the task.
rt::Task<void> serve_connection(Context& context, std::unique_ptr<net::Stream> stream,
                                Downstream downstream);

}  // namespace tulle::proxy
