// How much every pod had to do, for those who scale by it.
#pragma once

#include "mesh/snapshot.h"

#include <string>

namespace tulle::proxy {

// {"10.244.0.5": 1234}: by the address of every endpoint, the requests and TCP connections that it
// was ever sent, all its ports together.
std::string loads_json(const mesh::Snapshot& snapshot);

}  // namespace tulle::proxy
