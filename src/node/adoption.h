// What agents before this one have left, and no pod of the API stands for any more.
#pragma once

#include "kubeclient/cache.h"
#include "node/node.h"

namespace tulle::node {

// Ends and removes pods whose objects are gone, were replaced, or have ended. Takes their addresses
// out of use until then.
rt::Task<void> remove_strangers(Node& node, const kubeclient::Cache& pods);

}  // namespace tulle::node
