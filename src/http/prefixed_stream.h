// A stream of which some bytes were read already and are to be read again.
#pragma once

#include "net/stream.h"

#include <memory>
#include <string>

namespace tulle::http {

// Reads give `received` first, then what `inner` gives. `inner` itself where `received` is empty.
// REQUIRES: `loop` outlives it.
std::unique_ptr<net::Stream> prefixed_stream(rt::Loop& loop, std::string received,
                                             std::unique_ptr<net::Stream> inner);

}  // namespace tulle::http
