// One accepted connection, from its first byte to its end: recognised, then carried as HTTP
// requests or as plain bytes.
#pragma once

#include "proxy/context.h"

namespace tulle::proxy {

// From the connection to the end of the handshake of TLS that ends here.
inline constexpr Duration kTlsHandshakeTimeout = std::chrono::seconds(10);

// `context` must outlive the task.
rt::Task<void> serve_connection(Context& context, std::unique_ptr<net::Stream> stream,
                                Downstream downstream);

// A connection of TLS to the Ingress. Its server name decides: TLS ends here, with the certificate
// of the name, and what is within it is HTTP for the Ingress; or it is passed through as it is.
// Nobody has the name: an alert says so (RFC 6066 §3).
rt::Task<void> serve_tls_connection(Context& context, std::unique_ptr<net::Stream> stream,
                                    Downstream downstream);

// From the connection to the end of its PROXY header.
inline constexpr Duration kProxyHeaderTimeout = std::chrono::seconds(5);

// Either of the above.
using ServeConnection = rt::Task<void> (*)(Context&, std::unique_ptr<net::Stream>, Downstream);

// A connection that begins with a PROXY header: from then on its peer is who that says. One without
// is closed: whoever may leave it out may also claim to be anybody.
rt::Task<void> serve_announced_connection(Context& context, std::unique_ptr<net::Stream> stream,
                                          Downstream downstream, ServeConnection serve);

}  // namespace tulle::proxy
