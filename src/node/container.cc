#include "node/container.h"

#include "base/format.h"
#include "codec/json.h"
#include "kube/object.h"
#include "kube/time.h"
#include "node/cgroup.h"
#include "node/image_files.h"
#include "node/process_identity.h"
#include "node/rootfs.h"
#include "node/run_mounts.h"

#include <boost/json.hpp>

#include <fcntl.h>
#include <algorithm>
#include <charconv>
#include <csignal>
#include <filesystem>

namespace tulle::node {

namespace {

constexpr std::uint64_t kSmallFileMax = 64 * 1024;
constexpr int kKilled = 137;

std::string read_or_empty(const std::string& path) {
  return read_small_file(path, kSmallFileMax).value_or("");
}

// Nanoseconds cut off, as metav1.Time has it.
std::string api_time(std::string_view nano_time) {
  const auto time = kube::parse_time(nano_time);
  return time ? kube::format_time(*time) : std::string();
}

// The process in an identity; null when it has gone.
std::unique_ptr<rt::ProcessWatch> watch(Node& node, const std::string& identity) {
  const int pid = running_process(identity);
  if (pid <= 0) return nullptr;
  auto opened = rt::ProcessWatch::open(node.loop, node.driver, pid);
  if (!opened || running_process(identity) != pid) return nullptr;
  return *std::move(opened);
}

// The identity of the run's first process. A shim of before an upgrade has left its number only.
std::string process_of(const RunPlace& place) {
  if (auto identity = read_small_file(place.bundle() + "/process", kSmallFileMax)) return *identity;
  const std::string text = read_or_empty(place.bundle() + "/pid");
  int pid = 0;
  std::from_chars(text.data(), text.data() + text.size(), pid);
  return identity_of(pid);
}

std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

}  // namespace

std::string read_start(const RunPlace& place) {
  return api_time(read_or_empty(place.bundle() + "/started"));
}

Result<OwnedFd> open_pid_namespace(const RunPlace& place) {
  const std::string identity = process_of(place);
  const std::string path = fmt::format("/proc/{}/ns/pid", running_process(identity));
  OwnedFd space(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  // Still the same process: so it was when its namespace was opened.
  if (space && running_process(identity) > 0) return space;
  return failf(Code::unavailable, "the target container \"{}\" does not run", place.container);
}

std::vector<int> find_runs(const PodPlace& pod, const std::string& container) {
  std::vector<int> numbers;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(pod.runs(container), error)) {
    const std::string name = entry.path().filename();
    int number = -1;
    std::from_chars(name.data(), name.data() + name.size(), number);
    if (number >= 0) numbers.push_back(number);
  }
  std::ranges::sort(numbers);
  return numbers;
}

std::optional<ContainerEnd> read_end(const RunPlace& place) {
  const auto parsed = codec::parse_json(read_or_empty(place.bundle() + "/exit"));
  if (!parsed) return std::nullopt;
  const auto& document = kube::object_or_empty(*parsed);
  ContainerEnd end;
  end.signal = static_cast<int>(kube::integer_at(document, "signal"));
  end.code =
      end.signal != 0 ? 128 + end.signal : static_cast<int>(kube::integer_at(document, "code"));
  end.reason = end.code == 0 ? "Completed" : "Error";
  if (end.code != 0 && kube::bool_at(document, "oomKilled")) end.reason = "OOMKilled";
  end.started_at = read_start(place);
  end.finished_at = api_time(kube::string_at(document, "finishedAt"));
  return end;
}

rt::Task<Result<std::unique_ptr<Container>>> Container::start(Node& node, RunPlace place,
                                                              ShimStreams streams) {
  std::unique_ptr<Container> container(new Container(node, std::move(place)));
  const RunPlace& at = container->place_;
  CO_TRY(
      const rt::CommandOutput output,
      co_await rt::run_command(
          node.loop, node.driver,
          {.arguments = {node.options.executable, "shim", node.runtime.program(),
                         node.runtime.root(), at.bundle(), at.id(), at.log(), to_argument(streams)},
           .own_process_group = true}));
  if (!output.status.success()) {
    co_return fail(Code::unavailable,
                   output.errors.empty() ? "the shim could not be run" : first_line(output.errors));
  }
  container->started_at_ = read_start(at);
  container->shim_ = watch(node, read_or_empty(at.bundle() + "/shim"));
  if (container->shim_) container->process_ = watch(node, process_of(at));
  co_return container;
}

Result<std::unique_ptr<Container>> Container::adopt(Node& node, RunPlace place) {
  std::unique_ptr<Container> container(new Container(node, std::move(place)));
  const RunPlace& at = container->place_;
  container->shim_ = watch(node, read_or_empty(at.bundle() + "/shim"));
  container->started_at_ = read_start(at);
  if (!container->shim_ || container->started_at_.empty()) {
    return fail(Code::not_found, "the container does not run any more");
  }
  container->process_ = watch(node, process_of(at));
  return container;
}

rt::Task<ContainerEnd> Container::ended() {
  if (shim_) co_await shim_->gone();
  auto end = read_end(place_);
  co_await remove_remains(node_, place_);
  if (end) co_return *std::move(end);
  co_return ContainerEnd{.code = kKilled,
                         .signal = 0,
                         .reason = "ContainerStatusUnknown",
                         .started_at = started_at_,
                         .finished_at = kube::format_time(api_now(node_.loop))};
}

void Container::signal(int number) {
  if (process_) (void)process_->signal(number).has_value();
}

void Container::kill() {
  lift_cpu_limit(place_.cgroup());
  signal(SIGKILL);
}

rt::Task<void> remove_remains(Node& node, RunPlace place) {
  // With an `exit` the shim has told the runtime already.
  if (!read_end(place)) {
    lift_cpu_limit(place.cgroup());
    (void)co_await rt::run_command(node.loop, node.driver,
                                   {.arguments = node.runtime.remove(place.id())});
  }
  (void)co_await rt::run_blocking(node.blocking, [place]() -> Result<void> {
    TRY_VOID(unmount_run(place));
    TRY_VOID(unmount_rootfs(place.rootfs()));
    TRY_VOID(remove_tree(place.rootfs()));
    return remove_rootfs_state(place.rootfs_state());
  });
}

}  // namespace tulle::node
