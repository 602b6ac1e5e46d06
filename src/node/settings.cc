#include "node/settings.h"

#include "base/format.h"
#include "kube/object.h"
#include "kube/quantity.h"
#include "node/container.h"
#include "node/image_files.h"
#include "node/security.h"
#include "node/volumes.h"

#include <boost/json.hpp>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tulle::node {

namespace {

namespace json = boost::json;
using kube::string_at;

constexpr std::size_t kAccountsBytesMax = 1024 * 1024;

std::vector<std::string> strings_at(const json::object& object, std::string_view path) {
  std::vector<std::string> out;
  for (const json::value& each : kube::array_at(object, path)) {
    out.emplace_back(kube::string_or(each));
  }
  return out;
}

// command replaces the entrypoint and the image's arguments with it; args replaces the arguments.
std::vector<std::string> arguments_of(const SettingsInput& input, const Environment& environment) {
  std::vector<std::string> command = strings_at(input.container, "command");
  std::vector<std::string> args = strings_at(input.container, "args");
  for (std::string& each : command) each = expand(each, environment);
  for (std::string& each : args) each = expand(each, environment);
  if (command.empty()) {
    command = input.image.entrypoint;
    if (args.empty()) args = input.image.cmd;
  }
  command.insert(command.end(), args.begin(), args.end());
  return command;
}

std::optional<kube::Quantity> quantity_at(const json::object& container, std::string_view path) {
  const json::value* value = kube::find(container, path);
  if (value == nullptr) return std::nullopt;
  auto parsed = kube::Quantity::parse(kube::scalar_text(*value));
  return parsed ? std::optional(*parsed) : std::nullopt;
}

void set_resources(const json::object& container, ContainerSettings& settings) {
  if (const auto memory = quantity_at(container, "resources.limits.memory")) {
    settings.memory_limit = memory->value();
  }
  if (const auto cpu = quantity_at(container, "resources.requests.cpu")) {
    settings.cpu_request_milli = cpu->milli_value();
  }
  if (const auto cpu = quantity_at(container, "resources.limits.cpu")) {
    settings.cpu_limit_milli = cpu->milli_value();
  }
}

// A file of the image, whose links may not lead out of its root.
std::string read_inside(const std::string& rootfs, const char* name) {
  const OwnedFd root(::open(rootfs.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  open_how how{.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .mode = 0, .resolve = RESOLVE_IN_ROOT};
  const OwnedFd file(static_cast<int>(::syscall(SYS_openat2, root.get(), name, &how, sizeof how)));
  if (!file) return "";
  return read_small_file(fmt::format("/proc/self/fd/{}", file.get()), kAccountsBytesMax)
      .value_or("");
}

// The PID namespace of the latest run of `container`.
Result<OwnedFd> open_target(const PodPlace& pod, const std::string& container) {
  const std::vector<int> runs = find_runs(pod, container);
  return open_pid_namespace(
      {.pod = pod, .container = container, .number = runs.empty() ? 0 : runs.back()});
}

}  // namespace

Result<ContainerSettings> make_settings(const SettingsInput& input,
                                        const Environment& environment) {
  ContainerSettings settings;
  settings.arguments = arguments_of(input, environment);
  if (settings.arguments.empty()) {
    return fail(Code::invalid_argument,
                "no command specified: neither the image nor the container says what to run");
  }
  settings.environment = environment.assignments();
  settings.directory = string_at(input.container, "workingDir", input.image.working_dir);
  if (settings.directory.empty()) settings.directory = "/";
  settings.terminal = kube::bool_at(input.container, "tty");
  settings.hostname = string_at(input.pod, "spec.hostname", kube::name_of(input.pod));
  settings.hostname.resize(std::min<std::size_t>(settings.hostname.size(), 63));
  settings.rootfs = input.place.rootfs();
  settings.network_namespace = input.place.pod.network();
  settings.cgroup = input.place.cgroup();
  RunMounts held(input.place);
  TRY(settings.mounts, mounts_of(input.place.pod, input.pod, input.container, environment, held));
  if (const auto target = string_at(input.container, "targetContainerName"); !target.empty()) {
    TRY(const OwnedFd space, open_target(input.place.pod, std::string(target)));
    TRY(settings.pid_namespace, held.bind(space.get()));
  }
  const std::string_view message_path =
      string_at(input.container, "terminationMessagePath", "/dev/termination-log");
  settings.mounts.push_back({.source = input.place.message(), .target = std::string(message_path)});
  TRY_VOID(apply_security(input.pod, input.container, input.place.pod.data_dir, settings));
  set_resources(input.container, settings);
  return settings;
}

Result<ContainerUser> find_user(const SettingsInput& input, const std::string& rootfs) {
  const json::object& pod = kube::object_at(input.pod, "spec.securityContext");
  const json::object& own = kube::object_at(input.container, "securityContext");
  const auto of_either = [&](std::string_view field) {
    return kube::integer_at(own, field, kube::integer_at(pod, field, -1));
  };
  const std::int64_t uid = of_either("runAsUser");
  const std::int64_t gid = of_either("runAsGroup");
  const std::string name = uid >= 0 ? std::to_string(uid) : input.image.user;
  TRY(ContainerUser user,
      resolve_user(name, read_inside(rootfs, "etc/passwd"), read_inside(rootfs, "etc/group")));
  if (gid >= 0) user.gid = static_cast<std::uint32_t>(gid);
  for (const json::value& group : kube::array_at(pod, "supplementalGroups")) {
    if (group.is_int64()) user.groups.push_back(static_cast<std::uint32_t>(group.get_int64()));
  }
  if (const auto group = group_of_volumes(input.pod)) user.groups.push_back(group->id);
  if (kube::bool_at(own, "runAsNonRoot", kube::bool_at(pod, "runAsNonRoot")) && user.uid == 0) {
    return fail(Code::invalid_argument, "container has runAsNonRoot and image will run as root");
  }
  return user;
}

}  // namespace tulle::node
