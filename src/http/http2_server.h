// The server side of HTTP/2 on one stream. Internal to http: serve_connection() comes here when a
// client begins with the preface.
#pragma once

#include "http/server.h"

namespace tulle::http {

// As serve_connection(). `context.received` begins with the preface.
rt::Task<void> serve_http2_connection(rt::Loop& loop, std::unique_ptr<net::Stream> stream,
                                      Handler& handler, const ServerOptions& options,
                                      const ConnectionContext& context);

}  // namespace tulle::http
