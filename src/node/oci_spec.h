// The configuration of one container for the OCI runtime (runtime-spec 1.0, config.md). Pure.
#pragma once

#include "base/result.h"

#include <boost/json/object.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tulle::node {

struct BindMount {
  // What of later mounts below it the two sides see of each other.
  enum class Propagation : std::uint8_t { none, host_to_container, bidirectional };
  enum class Access : std::uint8_t { read_write, read_only, read_only_below };

  std::string source;
  std::string target;
  Access access = Access::read_write;  // read_only_below: what is mounted below it is, too
  Propagation propagation = Propagation::none;
};

// A device file of the machine.
struct Device {
  std::string path;
  char type = 'c';  // or 'b'
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
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
  bool host_pid = false;           // the machine's processes
  bool host_ipc = false;           // the machine's System V IPC, message queues and /dev/shm
  std::string cgroup;              // "/tulle/UID/NAME"
  bool cgroup_v2 = false;          // what the machine has
  std::vector<BindMount> mounts = {};
  std::vector<std::string> capabilities_added = {};    // "NET_ADMIN", "ALL"
  std::vector<std::string> capabilities_dropped = {};  // as above
  // Those that can be given, by their numbers (capabilities(7)): "ALL" is all of these.
  std::uint64_t capabilities_possible = ~std::uint64_t{0};
  bool read_only_root = false;
  // All capabilities and devices, and nothing hidden or read-only of /proc and /sys.
  bool privileged = false;
  bool allow_privilege_escalation = true;
  std::optional<boost::json::object> seccomp = std::nullopt;  // none: every system call
  std::string apparmor_profile = {};                          // empty: none
  std::map<std::string, std::string> sysctls = {};
  std::vector<Device> devices = {};                         // beside those that every container has
  std::optional<std::int64_t> memory_limit = std::nullopt;  // bytes
  std::optional<std::int64_t> cpu_request_milli = std::nullopt;  // thousandths of a core
  std::optional<std::int64_t> cpu_limit_milli = std::nullopt;
};

boost::json::object make_oci_spec(const ContainerSettings& settings);

// The capabilities of a container: containerd's defaults without what is dropped, and what is
// added; all of them where it is privileged. Sorted.
std::vector<std::string> capabilities_of(const ContainerSettings& settings);

// "", "name", "uid", "name:group", "uid:gid" as images say it; names are looked up in the texts of
// the container's own /etc/passwd and /etc/group. Error: invalid_argument.
Result<ContainerUser> resolve_user(std::string_view user, std::string_view passwd,
                                   std::string_view group);

}  // namespace tulle::node
