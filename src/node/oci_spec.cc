#include "node/oci_spec.h"

#include "base/format.h"
#include "kube/object.h"

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <string_view>

namespace tulle::node {

namespace {

namespace json = boost::json;

// As containerd's and Docker's.
constexpr std::array<std::string_view, 14> kDefaultCapabilities{
    "CAP_AUDIT_WRITE", "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FOWNER",           "CAP_FSETID",
    "CAP_KILL",        "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_NET_BIND_SERVICE", "CAP_SETFCAP",
    "CAP_SETGID",      "CAP_SETPCAP", "CAP_SETUID",       "CAP_SYS_CHROOT"};

// As capabilities(7) numbers them.
constexpr std::array<std::string_view, 41> kAllCapabilities{"CAP_CHOWN",
                                                            "CAP_DAC_OVERRIDE",
                                                            "CAP_DAC_READ_SEARCH",
                                                            "CAP_FOWNER",
                                                            "CAP_FSETID",
                                                            "CAP_KILL",
                                                            "CAP_SETGID",
                                                            "CAP_SETUID",
                                                            "CAP_SETPCAP",
                                                            "CAP_LINUX_IMMUTABLE",
                                                            "CAP_NET_BIND_SERVICE",
                                                            "CAP_NET_BROADCAST",
                                                            "CAP_NET_ADMIN",
                                                            "CAP_NET_RAW",
                                                            "CAP_IPC_LOCK",
                                                            "CAP_IPC_OWNER",
                                                            "CAP_SYS_MODULE",
                                                            "CAP_SYS_RAWIO",
                                                            "CAP_SYS_CHROOT",
                                                            "CAP_SYS_PTRACE",
                                                            "CAP_SYS_PACCT",
                                                            "CAP_SYS_ADMIN",
                                                            "CAP_SYS_BOOT",
                                                            "CAP_SYS_NICE",
                                                            "CAP_SYS_RESOURCE",
                                                            "CAP_SYS_TIME",
                                                            "CAP_SYS_TTY_CONFIG",
                                                            "CAP_MKNOD",
                                                            "CAP_LEASE",
                                                            "CAP_AUDIT_WRITE",
                                                            "CAP_AUDIT_CONTROL",
                                                            "CAP_SETFCAP",
                                                            "CAP_MAC_OVERRIDE",
                                                            "CAP_MAC_ADMIN",
                                                            "CAP_SYSLOG",
                                                            "CAP_WAKE_ALARM",
                                                            "CAP_BLOCK_SUSPEND",
                                                            "CAP_AUDIT_READ",
                                                            "CAP_PERFMON",
                                                            "CAP_BPF",
                                                            "CAP_CHECKPOINT_RESTORE"};

constexpr std::int64_t kCpuPeriod = 100'000;  // microseconds
constexpr std::int64_t kSharesPerCore = 1024;
constexpr std::int64_t kSharesMin = 2;

json::array strings(const std::vector<std::string>& texts) {
  json::array out;
  for (const std::string& text : texts) out.emplace_back(text);
  return out;
}

json::array words(std::initializer_list<std::string_view> texts) {
  json::array out;
  for (const std::string_view text : texts) out.emplace_back(text);
  return out;
}

json::object mount(std::string_view target, std::string_view type, std::string_view source,
                   std::initializer_list<std::string_view> options) {
  return {{"destination", target}, {"type", type}, {"source", source}, {"options", words(options)}};
}

std::string_view access_of(const BindMount& mount) {
  switch (mount.access) {
    case BindMount::Access::read_write: return "rw";
    case BindMount::Access::read_only: return "ro";
    case BindMount::Access::read_only_below: return "rro";
  }
  return "";
}

std::string_view propagation_of(const BindMount& mount) {
  switch (mount.propagation) {
    case BindMount::Propagation::none: return "rprivate";
    case BindMount::Propagation::host_to_container: return "rslave";
    case BindMount::Propagation::bidirectional: return "rshared";
  }
  return "";
}

json::array mounts_of(const ContainerSettings& settings) {
  const std::string_view kernel = settings.privileged ? "rw" : "ro";
  json::array out{
      mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}),
      mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
      mount("/dev/pts", "devpts", "devpts",
            {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"})};
  if (settings.host_ipc) {
    out.push_back(mount("/dev/shm", "bind", "/dev/shm", {"rbind", "nosuid", "noexec", "nodev"}));
  } else {
    out.push_back(mount("/dev/shm", "tmpfs", "shm",
                        {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}));
  }
  out.push_back(mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}));
  out.push_back(mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", kernel}));
  // Where programs look for their limits.
  out.push_back(mount("/sys/fs/cgroup", "cgroup", "cgroup",
                      {"nosuid", "noexec", "nodev", "relatime", kernel}));
  for (const BindMount& each : settings.mounts) {
    out.push_back(
        mount(each.target, "bind", each.source, {"rbind", propagation_of(each), access_of(each)}));
  }
  return out;
}

json::object process_of(const ContainerSettings& settings) {
  const json::array capabilities = strings(capabilities_of(settings));
  json::object user{{"uid", settings.user.uid}, {"gid", settings.user.gid}};
  if (!settings.user.groups.empty()) {
    user["additionalGids"] = json::array(settings.user.groups.begin(), settings.user.groups.end());
  }
  json::object process{
      {"terminal", settings.terminal},
      {"user", std::move(user)},
      {"args", strings(settings.arguments)},
      {"env", strings(settings.environment)},
      {"cwd", settings.directory},
      {"noNewPrivileges", !settings.allow_privilege_escalation},
      {"capabilities",
       {{"bounding", capabilities}, {"effective", capabilities}, {"permitted", capabilities}}}};
  if (!settings.apparmor_profile.empty()) process["apparmorProfile"] = settings.apparmor_profile;
  return process;
}

json::object resources_of(const ContainerSettings& settings) {
  json::object resources{
      {"devices", json::array{json::object{{"allow", settings.privileged}, {"access", "rwm"}}}},
      {"pids", {{"limit", container_pids_max}}}};
  if (settings.memory_limit) {
    resources["memory"] = {{"limit", *settings.memory_limit}, {"swap", *settings.memory_limit}};
  }
  json::object cpu;
  if (settings.cpu_request_milli) {
    cpu["shares"] = std::max(kSharesMin, *settings.cpu_request_milli * kSharesPerCore / 1000);
  }
  if (settings.cpu_limit_milli) {
    cpu["period"] = kCpuPeriod;
    cpu["quota"] = std::max<std::int64_t>(1000, *settings.cpu_limit_milli * kCpuPeriod / 1000);
  }
  if (!cpu.empty()) resources["cpu"] = std::move(cpu);
  return resources;
}

json::array namespaces_of(const ContainerSettings& settings) {
  json::array out{json::object{{"type", "uts"}}, json::object{{"type", "mount"}}};
  if (!settings.host_ipc) out.push_back(json::object{{"type", "ipc"}});
  // With v1 the runtime mounts the container's own groups only; v2 has the namespace for that.
  if (settings.cgroup_v2 && !settings.privileged) out.push_back(json::object{{"type", "cgroup"}});
  if (!settings.host_pid) {
    json::object& pid = out.emplace_back(json::object{{"type", "pid"}}).get_object();
    if (!settings.pid_namespace.empty()) pid["path"] = settings.pid_namespace;
  }
  out.push_back(json::object{{"type", "network"}, {"path", settings.network_namespace}});
  return out;
}

json::array devices_of(const ContainerSettings& settings) {
  json::array out;
  for (const Device& each : settings.devices) {
    out.push_back(json::object{{"path", each.path},
                               {"type", std::string_view(&each.type, 1)},
                               {"major", each.major},
                               {"minor", each.minor},
                               {"fileMode", each.mode},
                               {"uid", each.uid},
                               {"gid", each.gid}});
  }
  return out;
}

json::object linux_of(const ContainerSettings& settings) {
  json::object out{{"namespaces", namespaces_of(settings)},
                   {"cgroupsPath", settings.cgroup},
                   {"resources", resources_of(settings)}};
  if (!settings.privileged) {
    out["maskedPaths"] =
        words({"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
               "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
               "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"});
    out["readonlyPaths"] =
        words({"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"});
  }
  if (settings.seccomp) out["seccomp"] = *settings.seccomp;
  if (!settings.devices.empty()) out["devices"] = devices_of(settings);
  for (const auto& [name, value] : settings.sysctls) {
    kube::ensure_object(out, "sysctl")[name] = value;
  }
  const auto shares = [](const BindMount& mount) {
    return mount.propagation == BindMount::Propagation::bidirectional;
  };
  if (std::ranges::any_of(settings.mounts, shares)) out["rootfsPropagation"] = "rshared";
  return out;
}

std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

// The fields of the line of passwd(5) or group(5) whose field `index` is `key`.
std::vector<std::string_view> find_line(std::string_view file, std::size_t index,
                                        std::string_view key) {
  for (std::size_t begin = 0; begin < file.size();) {
    const std::size_t end = std::min(file.find('\n', begin), file.size());
    std::string_view line = file.substr(begin, end - begin);
    std::vector<std::string_view> fields;
    for (;;) {
      const std::size_t colon = line.find(':');
      fields.push_back(line.substr(0, colon));
      if (colon == std::string_view::npos) break;
      line.remove_prefix(colon + 1);
    }
    if (fields.size() >= 3 && fields[index] == key) return fields;
    begin = end + 1;
  }
  return {};
}

Result<std::uint32_t> resolve_group(std::string_view name, std::string_view group) {
  if (const auto gid = number(name)) return *gid;
  const auto line = find_line(group, 0, name);
  const auto gid = line.size() > 2 ? number(line[2]) : std::nullopt;
  if (gid) return *gid;
  return failf(Code::invalid_argument,
               "the image's user names group \"{}\", which it does not have", name);
}

}  // namespace

std::vector<std::string> capabilities_of(const ContainerSettings& settings) {
  std::set<std::string> set(kDefaultCapabilities.begin(), kDefaultCapabilities.end());
  const auto add_all = [&] {
    for (std::size_t number = 0; number < kAllCapabilities.size(); ++number) {
      const bool possible = (settings.capabilities_possible >> number & 1U) != 0;
      if (possible) set.emplace(kAllCapabilities[number]);
    }
  };
  for (const std::string& dropped : settings.capabilities_dropped) {
    if (dropped == "ALL") set.clear();
    set.erase(dropped.starts_with("CAP_") ? dropped : "CAP_" + dropped);
  }
  for (const std::string& added : settings.capabilities_added) {
    if (added == "ALL") {
      add_all();
    } else {
      set.insert(added.starts_with("CAP_") ? added : "CAP_" + added);
    }
  }
  if (settings.privileged) add_all();
  return {set.begin(), set.end()};
}

json::object make_oci_spec(const ContainerSettings& settings) {
  return {{"ociVersion", "1.0.2"},
          {"process", process_of(settings)},
          {"root", {{"path", settings.rootfs}, {"readonly", settings.read_only_root}}},
          {"hostname", settings.hostname},
          {"mounts", mounts_of(settings)},
          {"linux", linux_of(settings)}};
}

Result<ContainerUser> resolve_user(std::string_view user, std::string_view passwd,
                                   std::string_view group) {
  ContainerUser out;
  if (user.empty()) return out;
  const std::size_t colon = user.find(':');
  const std::string_view name = user.substr(0, colon);
  const auto uid = number(name);
  const auto line = uid ? find_line(passwd, 2, name) : find_line(passwd, 0, name);
  if (line.size() > 3) {
    out.uid = number(line[2]).value_or(0);
    out.gid = number(line[3]).value_or(0);
  } else if (uid) {
    out.uid = *uid;
  } else {
    return failf(Code::invalid_argument, "the image's user is \"{}\", which it does not have",
                 name);
  }
  if (colon != std::string_view::npos) {
    TRY(out.gid, resolve_group(user.substr(colon + 1), group));
  }
  return out;
}

}  // namespace tulle::node
