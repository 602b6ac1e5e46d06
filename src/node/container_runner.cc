#include "node/container_runner.h"

#include "base/format.h"
#include "codec/json.h"
#include "kube/object.h"
#include "node/image_files.h"
#include "node/pull_secrets.h"
#include "node/rootfs.h"
#include "node/settings.h"
#include "node/termination_message.h"
#include "rt/sleep.h"

#include <boost/json.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>

namespace tulle::node {

namespace {

namespace json = boost::json;
using kube::string_at;
using Phase = ContainerView::Phase;

constexpr std::int64_t kGraceDefault = 30;
// How long a pull that failed is told as such, before it is told that it is tried again: long
// enough for who watches.
constexpr Duration kPullErrorTold = std::chrono::seconds(1);

// "SIGINT", "INT" or "2".
int signal_number(std::string_view text) {
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  if (number > 0) return number;
  if (text.starts_with("SIG")) text.remove_prefix(3);
  constexpr std::array<std::pair<std::string_view, int>, 7> kNames{{{"INT", SIGINT},
                                                                    {"QUIT", SIGQUIT},
                                                                    {"HUP", SIGHUP},
                                                                    {"KILL", SIGKILL},
                                                                    {"USR1", SIGUSR1},
                                                                    {"USR2", SIGUSR2},
                                                                    {"WINCH", SIGWINCH}}};
  for (const auto& [name, value] : kNames) {
    if (text == name) return value;
  }
  return SIGTERM;
}

Duration grace_of(const json::object& pod) {
  return std::chrono::seconds(
      kube::integer_at(pod, "spec.terminationGracePeriodSeconds", kGraceDefault));
}

// Until `stopping`, or a probe wants this container ended.
rt::Task<std::optional<RestartWish>> stop_or_restart(rt::Event& stopping, Prober& prober) {
  auto first = co_await rt::race(stopping.wait(), prober.restart_wanted());
  if (first.index() == 0) co_return std::nullopt;
  co_return std::get<1>(std::move(first));
}

ShimStreams streams_of(const json::object& spec) {
  return {.input = kube::bool_at(spec, "stdin"),
          .input_once = kube::bool_at(spec, "stdinOnce"),
          .terminal = kube::bool_at(spec, "tty")};
}

// Whoever the container runs as may write it.
Result<void> make_message_file(const std::string& path) {
  const OwnedFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!file || ::fchmod(file.get(), 0666) != 0) return os_error(errno, "make " + path);
  return {};
}

// Mounts the root and writes what the runtime reads. Blocking.
Result<void> write_bundle(const kubeclient::ObjectPtr& pod, const json::object& spec,
                          const RunPlace& place, const Image& image,
                          const Environment& environment) {
  const SettingsInput input{.pod = *pod, .container = spec, .image = image.config, .place = place};
  TRY(ContainerSettings settings, make_settings(input, environment));
  TRY_VOID(make_directories(place.bundle(), 0700));
  TRY_VOID(make_directories(place.log_directory(), 0755));
  TRY_VOID(make_message_file(place.message()));
  TRY_VOID(mount_rootfs(
      {.layers = image.layers, .state = place.rootfs_state(), .target = place.rootfs()}));
  TRY(settings.user, find_user(input, place.rootfs()));
  TRY_VOID(write_file_whole(place.bundle() + "/stop-signal", image.config.stop_signal));
  TRY_VOID(write_file_whole(place.bundle() + "/image", image.id));
  return write_file_whole(place.bundle() + "/config.json", codec::to_json(make_oci_spec(settings)));
}

}  // namespace

ContainerRole role_of_init_container(const json::object& spec) {
  return string_at(spec, "restartPolicy") == "Always" ? ContainerRole::sidecar
                                                      : ContainerRole::init;
}

ContainerRunner::ContainerRunner(PodContext& context, kubeclient::ObjectPtr pod,
                                 const json::object& spec, ContainerRole role)
    : context_(context),
      pod_(std::move(pod)),
      spec_(spec),
      role_(role),
      stop_(context.node.loop),
      stopping_(role == ContainerRole::sidecar ? stop_ : context.stopping),
      finished_(context.node.loop) {
  view_.name = string_at(spec, "name");
  view_.image = string_at(spec, "image");
  view_.sidecar = role == ContainerRole::sidecar;
  view_.waiting.reason = reason_of_beginning();
  look_back();
}

RunPlace ContainerRunner::place_of(int number) const {
  return {.pod = context_.place, .container = name(), .number = number};
}

ContainerView ContainerRunner::view() const {
  ContainerView view = view_;
  const bool runs = view.phase == Phase::running && !stopping_.is_set();
  const ProbedBefore probed =
      prober_ == nullptr ? before_ : ProbedBefore{prober_->started(), prober_->ready()};
  view.started = view.phase == Phase::running && probed.started;
  view.ready = role_ == ContainerRole::init ? succeeded() : runs && probed.ready;
  if (role_ == ContainerRole::ephemeral) view.ready = false;
  return view;
}

// Why it waits as long as nothing has failed.
std::string ContainerRunner::reason_of_beginning() const {
  const bool waits_for_init = !kube::array_at(*pod_, "spec.initContainers").empty();
  return waits_for_init ? "PodInitializing" : "ContainerCreating";
}

std::optional<RunPlace> ContainerRunner::running() const {
  if (view_.phase != Phase::running) return std::nullopt;
  return place_of(number_);
}

// What an agent before this one has left.
void ContainerRunner::look_back() {
  const std::vector<int> runs = find_runs(context_.place, name());
  if (runs.empty()) return;
  number_ = runs.back();
  view_.restarts = number_;
  const RunPlace latest = place_of(number_);
  view_.container_id = "tulle://" + latest.id();
  stop_signal_ = read_small_file(latest.bundle() + "/stop-signal", 64).value_or("");
  view_.image_id = read_small_file(latest.bundle() + "/image", 256).value_or("");
  if (runs.size() > 1) {
    const RunPlace before = place_of(runs[runs.size() - 2]);
    view_.last = read_end_of(before);
    view_.last_container_id = "tulle://" + before.id();
  }
  auto container = Container::adopt(context_.node, latest);
  if (container) {
    adopted_ = *std::move(container);
    view_.phase = Phase::running;
    view_.started_at = adopted_->started_at();
    before_ = probed_before();
    return;
  }
  auto end = read_end_of(latest);
  set_ended(end ? *end
                : ContainerEnd{.code = 137,
                               .signal = 0,
                               .reason = "ContainerStatusUnknown",
                               .started_at = read_start(latest),
                               .finished_at = kube::format_time(api_now(context_.node.loop))});
}

void ContainerRunner::leave_behind(int run) {
  left_behind_ = run;
  if (role_ != ContainerRole::init || number_ > run || !view_.end) return;
  view_.last = std::exchange(view_.end, std::nullopt);
  view_.last_container_id = view_.container_id;
  set_waiting("PodInitializing", "");
}

std::optional<ContainerEnd> ContainerRunner::read_end_of(const RunPlace& place) const {
  auto end = read_end(place);
  if (end) end->message = termination_message(place, spec_, *end);
  return end;
}

ProbedBefore ContainerRunner::probed_before() const {
  for (const char* list : {"status.containerStatuses", "status.initContainerStatuses"}) {
    for (const json::value& each : kube::array_at(*pod_, list)) {
      const json::object& status = kube::object_or_empty(each);
      if (string_at(status, "containerID") != view_.container_id) continue;
      return {.started = kube::bool_at(status, "started"), .ready = kube::bool_at(status, "ready")};
    }
  }
  return {};
}

rt::Task<void> ContainerRunner::run() {
  if (number_ >= 0 && !adopted_) co_await remove_remains(context_.node, place_of(number_));
  for (;;) {
    std::unique_ptr<Container> container = std::move(adopted_);
    const bool is_new = !container;
    if (is_new) {
      if (view_.end) {
        if (!may_run_again(*view_.end) || is_to_stop()) break;
        if (co_await back_off(*view_.end)) break;
      }
      if (is_to_stop()) break;
      auto started = co_await start();
      if (!started) {
        if (is_to_stop() || co_await wait_to_start_again(started.error())) break;
        continue;
      }
      container = *std::move(started);
    }
    const Instant began = context_.node.loop.now();
    ContainerEnd end = co_await attend(*container, is_new);
    end.message = termination_message(container->place(), spec_, end);
    if (context_.node.loop.now() - began >= BackOff::healthy_after) crashes_.reset();
    set_ended(end);
  }
  co_await context_.node.images.unpin(place_of(0).owner());
  finished_.set();
}

rt::Task<void> ContainerRunner::started() {
  while (!view().started) co_await rt::wait_on(context_.changed);
}

bool ContainerRunner::may_run_again(const ContainerEnd& end) const {
  const std::string_view policy = string_at(*pod_, "spec.restartPolicy", "Always");
  switch (role_) {
    case ContainerRole::sidecar: return true;
    case ContainerRole::init: return end.code != 0 && policy != "Never";
    case ContainerRole::ephemeral: return false;
    case ContainerRole::main: break;
  }
  return policy == "Always" || (policy == "OnFailure" && end.code != 0);
}

// Waits as long as the failures so far ask for. Returns whether the pod is to end.
rt::Task<bool> ContainerRunner::back_off(const ContainerEnd& end) {
  const Duration wait = crashes_.failed({});
  view_.last = end;
  view_.last_container_id = view_.container_id;
  view_.end.reset();
  if (wait == Duration{}) co_return false;
  set_waiting("CrashLoopBackOff", fmt::format("back-off {} restarting failed container={} pod={}",
                                              go_duration(wait), name(), context_.full_name()));
  context_.warning("BackOff", fmt::format("Back-off restarting failed container {} in pod {}",
                                          name(), context_.full_name()));
  co_return co_await pause_or_stop(context_.node.loop, stopping_, wait);
}

rt::Task<ContainerRunner::Started> ContainerRunner::start() {
  using Failure = std::unexpected<WaitReason>;
  auto image = co_await get_image();
  if (!image) co_return Failure(std::move(image).error());
  const int number = number_ + 1;
  const RunPlace place = place_of(number);
  references_seen_ = context_.references_version;
  const auto prepared = co_await prepare(place, *image);
  if (!prepared) {
    co_await remove_remains(context_.node, place);
    (void)remove_tree(place.bundle()).has_value();
    context_.warning("Failed", "Error: " + prepared.error().message);
    const bool config = prepared.error().code == Code::not_found;
    co_return Failure({.reason = config ? "CreateContainerConfigError" : "CreateContainerError",
                       .message = prepared.error().message});
  }
  context_.normal("Created", "Created container " + name());
  number_ = number;
  view_.restarts = number;
  view_.image_id = image->pulled.empty() ? image->id : image->pulled;
  view_.container_id = "tulle://" + place.id();
  stop_signal_ = image->config.stop_signal;
  auto container = co_await Container::start(context_.node, place, streams_of(spec_));
  forget_old_runs();
  if (!container) {
    co_await remove_remains(context_.node, place);
    context_.warning("Failed", "Error: " + container.error().message);
    co_return Failure({.reason = "RunContainerError", .message = container.error().message});
  }
  context_.normal("Started", "Started container " + name());
  starts_.reset();
  co_return *std::move(container);
}

rt::Task<std::expected<Image, WaitReason>> ContainerRunner::get_image() {
  using Failure = std::unexpected<WaitReason>;
  ImageRequest request{.owner = place_of(0).owner(),
                       .reference = view_.image,
                       .policy = pull_policy(string_at(spec_, "imagePullPolicy"), view_.image)};
  images_seen_ = context_.node.images.version();
  auto found = co_await context_.node.images.find(request);
  if (!found) {
    const bool never = found.error().reason == "ErrImageNeverPull";
    context_.warning(never ? found.error().reason : "InspectFailed", found.error().message);
    context_.warning("Failed", "Error: " + found.error().reason);
    co_return Failure(std::move(found).error());
  }
  if (!*found) co_return co_await pull_image(std::move(request));
  context_.normal("Pulled",
                  fmt::format("Container image \"{}\" already present on machine", view_.image));
  co_return **std::move(found);
}

rt::Task<std::expected<Image, WaitReason>> ContainerRunner::pull_image(ImageRequest request) {
  using Failure = std::unexpected<WaitReason>;
  rt::Loop& loop = context_.node.loop;
  auto logins = co_await pull_logins(context_, view_.image);
  context_.normal("Pulling", fmt::format("Pulling image \"{}\"", view_.image));
  PullReport report(view_.image, loop.now());
  // Nobody waits for the image of a pod that ends.
  auto outcome = co_await rt::race(
      context_.node.images.pull(
          view_.image, std::move(logins),
          [this, &report](const PullProgress& progress) { report_pull(report, progress); }),
      stopping_.wait());
  if (outcome.index() == 1) co_return Failure(view_.waiting);
  const auto& times = std::get<0>(outcome);
  if (!times) {
    context_.warning("Failed", times.error().message);
    context_.warning("Failed", "Error: " + times.error().reason);
    co_return Failure(times.error());
  }
  request.policy = PullPolicy::if_not_present;
  auto found = co_await context_.node.images.find(request);
  if (!found) co_return Failure(std::move(found).error());
  if (!*found) {
    co_return Failure({.reason = "ErrImagePull", .message = "It was removed once it was pulled"});
  }
  pulls_.reset();
  context_.normal("Pulled", fmt::format("Successfully pulled image \"{}\" in {} ({} including "
                                        "waiting). Image size: {} bytes.",
                                        view_.image, go_duration(times->taken),
                                        go_duration(times->with_waiting), (*found)->size));
  co_return **std::move(found);
}

// A failure before stays to be seen until the pull is under way.
void ContainerRunner::report_pull(PullReport& report, const PullProgress& progress) {
  const Instant now = context_.node.loop.now();
  const std::string text = report.text(progress, now);
  const bool under_way = progress.step == PullProgress::Step::fetching ||
                         progress.step == PullProgress::Step::unpacking;
  if (under_way || view_.waiting.reason == reason_of_beginning()) {
    set_waiting(reason_of_beginning(), text);
  }
  if (report.is_event_due(now)) context_.normal("Pulling", text);
}

rt::Task<Result<void>> ContainerRunner::prepare(RunPlace place, const Image& image) {
  auto references = co_await fetch_references(context_.node, pod_);
  if (!references) co_return kube::to_error(references.error());
  CO_TRY(const Environment environment,
         make_environment(spec_, image.config.env, sources_of(context_, *references)));
  co_return co_await rt::run_blocking(context_.node.blocking,
                                      [pod = pod_, spec = &spec_, place, image, environment] {
                                        return write_bundle(pod, *spec, place, image, environment);
                                      });
}

// Waits with what could not be started. Returns whether the pod is to end.
rt::Task<bool> ContainerRunner::wait_to_start_again(WaitReason why) {
  set_waiting(why.reason, why.message);
  const bool pull_failed = why.reason == "ErrImagePull";
  if (!pull_failed && why.reason != "ErrImageNeverPull") {
    // What is missing may come.
    co_await rt::race(references_changed(context_, references_seen_),
                      pause_or_stop(context_.node.loop, stopping_, starts_.failed({})));
    co_return stopping_.is_set();
  }
  const PullPolicy policy = pull_policy(string_at(spec_, "imagePullPolicy"), view_.image);
  auto arrived = context_.node.images.arrived(view_.image, policy, images_seen_);
  if (pull_failed) {
    co_await rt::race(std::move(arrived), back_off_pulling(std::move(why)));
  } else {
    co_await rt::race(std::move(arrived), stopping_.wait());
  }
  co_return stopping_.is_set();
}

rt::Task<void> ContainerRunner::back_off_pulling(WaitReason why) {
  rt::Loop& loop = context_.node.loop;
  const Instant again = loop.now() + pulls_.failed({});
  if (co_await pause_or_stop(loop, stopping_, kPullErrorTold)) co_return;
  const std::string text = fmt::format("Back-off pulling image \"{}\"", view_.image);
  set_waiting("ImagePullBackOff", fmt::format("{}: {}: {}", text, why.reason, why.message));
  context_.normal("BackOff", text);
  context_.warning("Failed", "Error: ImagePullBackOff");
  co_await pause_or_stop(loop, stopping_, again - loop.now());
}

rt::Task<ContainerEnd> ContainerRunner::attend(Container& container, bool is_new) {
  view_.phase = Phase::running;
  view_.started_at = container.started_at();
  view_.end.reset();
  context_.touch();
  if (is_new) {
    auto begun = co_await rt::race(container.ended(), run_post_start());
    if (begun.index() == 0) co_return std::get<0>(std::move(begun));
    if (!std::get<1>(begun)) co_return co_await end_container(container, grace_of(*pod_));
  }
  auto prober = std::make_unique<Prober>(
      ActionTarget{.context = context_, .container = spec_, .container_id = container.place().id()},
      std::exchange(before_, {}));
  prober_ = prober.get();
  context_.touch();
  auto outcome = co_await rt::race(container.ended(), stop_or_restart(stopping_, *prober));
  // What is on its way out is not asked any more.
  prober_ = nullptr;
  prober.reset();
  if (outcome.index() == 0) co_return std::get<0>(std::move(outcome));
  context_.touch();
  const std::optional<RestartWish> wish = std::get<1>(std::move(outcome));
  if (!wish) {
    context_.normal("Killing", "Stopping container " + name());
    co_return co_await end_container(container, grace_of(*pod_));
  }
  context_.normal("Killing", fmt::format("Container {} failed {} probe, will be restarted", name(),
                                         wish->probe));
  co_return co_await end_container(container, wish->grace.value_or(grace_of(*pod_)));
}

// It has `grace` from now on, or until the pod's containers are killed, if that is before.
rt::Task<ContainerEnd> ContainerRunner::end_container(Container& container, Duration grace) {
  rt::Loop& loop = context_.node.loop;
  const Instant kill_at = context_.stopping.is_set() ? context_.kill_at : loop.now() + grace;
  auto outcome = co_await rt::race(container.ended(), until_killed(container, kill_at));
  if (outcome.index() == 0) co_return std::get<0>(std::move(outcome));
  container.kill();
  co_return co_await container.ended();
}

// The time may become shorter, also while a hook runs.
rt::Task<void> ContainerRunner::until_killed(Container& container, Instant kill_at) {
  co_await rt::race(ask_to_end(container, kill_at), killing_time(kill_at));
}

rt::Task<void> ContainerRunner::ask_to_end(Container& container, Instant kill_at) {
  if (kill_at > context_.node.loop.now()) (void)co_await run_hook("preStop", kill_at);
  container.signal(signal_number(stop_signal_));
  co_await killing_time(kill_at);
}

rt::Task<void> ContainerRunner::killing_time(Instant kill_at) {
  co_await rt::race(kill_time(context_), rt::until(context_.node.loop, kill_at));
}

// Returns whether the container may go on.
rt::Task<bool> ContainerRunner::run_post_start() {
  auto outcome = co_await rt::race(run_hook("postStart", kNever), stopping_.wait());
  co_return outcome.index() == 1 || std::get<0>(outcome).has_value();
}

// lifecycle.postStart or preStop, where the container has it.
rt::Task<Result<void>> ContainerRunner::run_hook(std::string_view name, Instant deadline) {
  const json::object* hook = kube::find_object(kube::object_at(spec_, "lifecycle"), name);
  if (hook == nullptr) co_return Result<void>();
  auto outcome = co_await run_action(
      {.context = context_, .container = spec_, .container_id = place_of(number_).id()}, *hook,
      deadline);
  if (!outcome) {
    const char* what = name == "preStop" ? "PreStopHook" : "PostStartHook";
    context_.warning(fmt::format("Failed{}", what),
                     fmt::format("{} failed: {}", what, outcome.error().message));
  }
  co_return outcome;
}

// The latest run and the one before it stay, for status and logs.
void ContainerRunner::forget_old_runs() const {
  for (const int number : find_runs(context_.place, name())) {
    if (number >= number_ - 1) continue;
    const RunPlace place = place_of(number);
    (void)remove_tree(place.bundle()).has_value();
    (void)remove_tree(place.log()).has_value();
    (void)remove_tree(place.log() + ".1").has_value();
  }
}

void ContainerRunner::set_waiting(std::string reason, std::string message) {
  view_.phase = Phase::waiting;
  view_.waiting = {.reason = std::move(reason), .message = std::move(message)};
  context_.touch();
}

void ContainerRunner::set_ended(const ContainerEnd& end) {
  view_.phase = Phase::terminated;
  view_.end = end;
  context_.touch();
}

}  // namespace tulle::node
