// The Node object and its Lease: what the API knows of this machine.
#pragma once

#include "kube/status.h"
#include "node/node.h"
#include "rt/task.h"

#include <boost/json/object.hpp>

#include <string>

namespace tulle::node {

// What the machine has for pods, as status.capacity says it. The disk is that of `data_dir`.
boost::json::object node_capacity(const std::string& data_dir);

// Makes or refreshes the Node. Done when the API has it.
rt::Task<kube::ApiResult<void>> register_node(Node& node);

// Keeps the node's condition DiskPressure true to the disk of the data directory, for ever.
rt::Task<void> watch_disk(Node& node);

// Renews the Lease every ten seconds, for ever.
rt::Task<void> keep_lease(Node& node);

// Keeps status.images as the store has it, for ever. As upstream, the largest fifty.
rt::Task<void> keep_images_listed(Node& node);

}  // namespace tulle::node
