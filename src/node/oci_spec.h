// The configuration of one container for the OCI runtime (runtime-spec 1.0, config.md). Pure.
#pragma once

#include "base/result.h"

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tulle::node {

struct BindMount {
  std::string source;
  std::string target;
  bool read_only = false;
};

struct ContainerUser {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups = {};
};

// Processes and threads of one container together: one that forks without end must not take the
// machine's.
inline constexpr std::int64_t container_pids_max = 4096;

struct ContainerSettings {
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // "NAME=value"
  std::string directory = "/";
  ContainerUser user = {};
  bool terminal = false;
  std::string hostname;
  std::string rootfs;              // absolute
  std::string network_namespace;   // path
  std::string pid_namespace = {};  // path; empty: one of its own
  std::string cgroup;              // "/tulle/UID/NAME"
  std::vector<BindMount> mounts = {};
  std::vector<std::string> capabilities_added = {};    // "NET_ADMIN", "ALL"
  std::vector<std::string> capabilities_dropped = {};  // as above
  bool read_only_root = false;
  bool allow_privilege_escalation = true;
  std::optional<std::int64_t> memory_limit = std::nullopt;       // bytes
  std::optional<std::int64_t> cpu_request_milli = std::nullopt;  // thousandths of a core
  std::optional<std::int64_t> cpu_limit_milli = std::nullopt;
};

boost::json::object make_oci_spec(const ContainerSettings& settings);

// The capabilities of a container: containerd's defaults without what is dropped, and what is
// added. Sorted.
std::vector<std::string> capabilities_of(const ContainerSettings& settings);

// "", "name", "uid", "name:group", "uid:gid" as images say it; names are looked up in the texts of
// the container's own /etc/passwd and /etc/group. Error: invalid_argument.
Result<ContainerUser> resolve_user(std::string_view user, std::string_view passwd,
                                   std::string_view group);

}  // namespace tulle::node
