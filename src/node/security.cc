#include "node/security.h"

#include "base/format.h"
#include "kube/object.h"
#include "node/image_files.h"
#include "node/seccomp.h"

#include <boost/json.hpp>

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>

namespace tulle::node {

namespace {

namespace json = boost::json;
using kube::string_at;

constexpr std::size_t kDevicesMax = 4096;
constexpr std::uint64_t kStatusBytesMax = 64 * 1024;

std::vector<std::string> strings_at(const json::object& object, std::string_view path) {
  std::vector<std::string> out;
  for (const json::value& each : kube::array_at(object, path)) {
    out.emplace_back(kube::string_or(each));
  }
  return out;
}

// The container's own, else the pod's.
const json::object& profile_of(const json::object& pod, const json::object& container,
                               std::string_view field) {
  const json::object* own = kube::find_object(kube::object_at(container, "securityContext"), field);
  return own != nullptr ? *own
                        : kube::object_at(kube::object_at(pod, "spec.securityContext"), field);
}

// Without a profile, the default one.
Result<void> set_seccomp(const json::object& profile, const std::string& data_dir,
                         ContainerSettings& settings) {
  const std::string_view type = string_at(profile, "type", "RuntimeDefault");
  if (settings.privileged || type == "Unconfined") return {};
  if (type == "Localhost") {
    TRY(settings.seccomp,
        load_seccomp_profile(data_dir + "/seccomp", string_at(profile, "localhostProfile")));
    return {};
  }
  settings.seccomp = default_seccomp_profile(capabilities_of(settings), own_architecture);
  return {};
}

// RuntimeDefault asks for no more than what there is: no profile of this project's.
Result<void> set_apparmor(const json::object& profile, ContainerSettings& settings) {
  if (settings.privileged || string_at(profile, "type") != "Localhost") return {};
  const auto enabled = read_small_file("/sys/module/apparmor/parameters/enabled", 64);
  if (!enabled || !enabled->starts_with('Y')) {
    return fail(Code::unsupported, "Cannot enforce AppArmor: AppArmor is not enabled on the host");
  }
  settings.apparmor_profile = string_at(profile, "localhostProfile");
  return {};
}

// Nobody can give what he has not got himself; root in a container lacks some.
std::uint64_t own_capabilities() {
  constexpr std::string_view kField = "\nCapPrm:\t";
  const std::string text = read_small_file("/proc/self/status", kStatusBytesMax).value_or("");
  std::uint64_t own = 0;
  if (const std::size_t at = text.find(kField); at != std::string::npos) {
    std::from_chars(text.data() + at + kField.size(), text.data() + text.size(), own, 16);
  }
  return own;
}

bool has_cgroup_v2() {
  struct statfs status{};
  return ::statfs("/sys/fs/cgroup", &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC;
}

}  // namespace

std::vector<Device> find_devices(const std::string& directory) {
  constexpr std::array<std::string_view, 7> kNotDevices{"pts",  "shm",         "fd",   "mqueue",
                                                        ".lxc", ".lxd-mounts", ".udev"};
  std::vector<Device> devices;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator at(directory, error), end;
       at != end && !error && devices.size() < kDevicesMax; at.increment(error)) {
    const std::string path = at->path();
    const std::string name = at->path().filename();
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0) continue;
    if (S_ISDIR(status.st_mode) && std::ranges::find(kNotDevices, name) != kNotDevices.end()) {
      at.disable_recursion_pending();
    }
    // The terminal is the container's own.
    const bool own = at.depth() == 0 && (name == "console" || name == "ptmx");
    if (own || !(S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))) continue;
    devices.push_back({.path = path,
                       .type = S_ISCHR(status.st_mode) ? 'c' : 'b',
                       .major = major(status.st_rdev),
                       .minor = minor(status.st_rdev),
                       .mode = status.st_mode & 0777U,
                       .uid = status.st_uid,
                       .gid = status.st_gid});
  }
  return devices;
}

Result<void> apply_security(const json::object& pod, const json::object& container,
                            const std::string& data_dir, ContainerSettings& settings) {
  const json::object& own = kube::object_at(container, "securityContext");
  const json::object& spec = kube::object_at(pod, "spec");
  if (!kube::bool_at(spec, "hostUsers", true)) {
    return fail(Code::unsupported, "user namespaces (hostUsers: false) are not supported");
  }
  settings.privileged = kube::bool_at(own, "privileged");
  settings.capabilities_added = strings_at(own, "capabilities.add");
  settings.capabilities_dropped = strings_at(own, "capabilities.drop");
  settings.capabilities_possible = own_capabilities();
  settings.read_only_root = kube::bool_at(own, "readOnlyRootFilesystem");
  settings.allow_privilege_escalation = kube::bool_at(own, "allowPrivilegeEscalation", true);
  settings.host_pid = kube::bool_at(spec, "hostPID");
  settings.host_ipc = kube::bool_at(spec, "hostIPC");
  settings.cgroup_v2 = has_cgroup_v2();
  if (settings.privileged) settings.devices = find_devices("/dev");
  for (const json::value& each : kube::array_at(spec, "securityContext.sysctls")) {
    const json::object& sysctl = kube::object_or_empty(each);
    settings.sysctls.emplace(string_at(sysctl, "name"), string_at(sysctl, "value"));
  }
  TRY_VOID(set_apparmor(profile_of(pod, container, "appArmorProfile"), settings));
  return set_seccomp(profile_of(pod, container, "seccompProfile"), data_dir, settings);
}

}  // namespace tulle::node
