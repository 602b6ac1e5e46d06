// The Node object and its Lease: what the API knows of this machine.
#pragma once

#include "kube/status.h"
#include "node/node.h"
#include "rt/task.h"

#include <boost/json/object.hpp>

#include <cstdint>
#include <string>

namespace tulle::node {

// What the machine has for pods, as status.capacity says it. The disk is that of `data_dir`.
boost::json::object node_capacity(const std::string& data_dir);

// Makes or refreshes the Node. Done when the API has it.
rt::Task<kube::ApiResult<void>> register_node(Node& node);

// Room on a file system, as statvfs(3) gives it. A value.
struct DiskRoom {
  std::uint64_t bytes = 0;
  std::uint64_t bytes_free = 0;
  std::uint64_t files = 0;  // 0: it does not count them
  std::uint64_t files_free = 0;
};
DiskRoom disk_room(const std::string& path);
// Whether the node says DiskPressure: a twentieth is left at most, and not much at all, of bytes or
// of files. Upstream asks for a tenth, which is a lot on a large disk.
bool is_scarce(const DiskRoom& room);

// Keeps the node's condition DiskPressure true to the disk of the data directory, for ever.
rt::Task<void> watch_disk(Node& node);

// Renews the Lease every ten seconds, for ever.
rt::Task<void> keep_lease(Node& node);

// Keeps status.images as the store has it, for ever. As upstream, the largest fifty.
rt::Task<void> keep_images_listed(Node& node);

}  // namespace tulle::node
