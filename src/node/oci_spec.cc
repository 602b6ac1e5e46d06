#include "node/oci_spec.h"

#include "base/format.h"

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

constexpr std::array<std::string_view, 38> kAllCapabilities{
    "CAP_AUDIT_CONTROL",  "CAP_AUDIT_READ",      "CAP_AUDIT_WRITE",      "CAP_BLOCK_SUSPEND",
    "CAP_CHOWN",          "CAP_DAC_OVERRIDE",    "CAP_DAC_READ_SEARCH",  "CAP_FOWNER",
    "CAP_FSETID",         "CAP_IPC_LOCK",        "CAP_IPC_OWNER",        "CAP_KILL",
    "CAP_LEASE",          "CAP_LINUX_IMMUTABLE", "CAP_MAC_ADMIN",        "CAP_MAC_OVERRIDE",
    "CAP_MKNOD",          "CAP_NET_ADMIN",       "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST",
    "CAP_NET_RAW",        "CAP_SETFCAP",         "CAP_SETGID",           "CAP_SETPCAP",
    "CAP_SETUID",         "CAP_SYSLOG",          "CAP_SYS_ADMIN",        "CAP_SYS_BOOT",
    "CAP_SYS_CHROOT",     "CAP_SYS_MODULE",      "CAP_SYS_NICE",         "CAP_SYS_PACCT",
    "CAP_SYS_PTRACE",     "CAP_SYS_RAWIO",       "CAP_SYS_RESOURCE",     "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG", "CAP_WAKE_ALARM"};

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

json::array mounts_of(const ContainerSettings& settings) {
  json::array out{
      mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}),
      mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
      mount("/dev/pts", "devpts", "devpts",
            {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
      mount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}),
      mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
      mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"})};
  for (const BindMount& each : settings.mounts) {
    out.push_back(mount(each.target, "bind", each.source,
                        {"rbind", "rprivate", each.read_only ? "ro" : "rw"}));
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
  return process;
}

json::object resources_of(const ContainerSettings& settings) {
  json::object resources{
      {"devices", json::array{json::object{{"allow", false}, {"access", "rwm"}}}},
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

json::object linux_of(const ContainerSettings& settings) {
  json::array namespaces;
  for (const std::string_view type : {"ipc", "uts", "mount"}) {
    namespaces.push_back(json::object{{"type", type}});
  }
  json::object& pid = namespaces.emplace_back(json::object{{"type", "pid"}}).get_object();
  if (!settings.pid_namespace.empty()) pid["path"] = settings.pid_namespace;
  namespaces.push_back(json::object{{"type", "network"}, {"path", settings.network_namespace}});
  return {{"namespaces", std::move(namespaces)},
          {"cgroupsPath", settings.cgroup},
          {"resources", resources_of(settings)},
          {"maskedPaths",
           words({"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                  "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
                  "/sys/firmware", "/sys/devices/virtual/powercap"})},
          {"readonlyPaths",
           words({"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"})}};
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
  for (const std::string& dropped : settings.capabilities_dropped) {
    if (dropped == "ALL") set.clear();
    set.erase(dropped.starts_with("CAP_") ? dropped : "CAP_" + dropped);
  }
  for (const std::string& added : settings.capabilities_added) {
    if (added == "ALL") {
      set.insert(kAllCapabilities.begin(), kAllCapabilities.end());
    } else {
      set.insert(added.starts_with("CAP_") ? added : "CAP_" + added);
    }
  }
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
