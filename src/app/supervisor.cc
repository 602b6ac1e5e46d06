#include "app/supervisor.h"

#include "app/report.h"
#include "base/format.h"
#include "base/log.h"
#include "rt/combine.h"
#include "rt/watched_event.h"

#include <boost/json.hpp>

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

namespace tulle::app {

namespace json = boost::json;

namespace {

// A process that ends at once again is not started in a tight circle.
constexpr Duration kPauseMin = std::chrono::milliseconds(10);
constexpr Duration kPauseMax = std::chrono::seconds(5);
constexpr Duration kStable = std::chrono::seconds(5);
// Until it is ready, which takes tens of milliseconds, or seconds where a large store is read.
constexpr std::chrono::seconds kStartTime{30};
// To take nothing new any more.
constexpr Duration kRetireTime = std::chrono::seconds(5);
constexpr int kReadyFd = 3;
constexpr int kSocketsFd = 4;

std::string describe(const rt::ExitStatus& status) {
  if (status.signal != 0) return "signal " + std::to_string(status.signal);
  return "code " + std::to_string(status.code);
}

rt::Task<Result<rt::ExitStatus>> exit_of(rt::Process& process) {
  co_return co_await process.exited();
}

// Until it has ended. Returns whether it did in order: by itself before the deadline, with code 0.
// Else it is killed, which `complaint` says.
rt::Task<bool> end_by(rt::Loop& loop, rt::Process& process, Instant deadline,
                      std::string complaint) {
  const auto ended = co_await rt::with_deadline(loop, deadline, exit_of(process));
  if (!ended) {
    log::error(complaint, {});
    (void)process.signal(SIGKILL);
    (void)co_await process.exited();
  }
  co_return ended && ended->success();
}

}  // namespace

std::string path_of(const Program& program) {
  if (!program) return "/proc/self/exe";
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(program->get());
}

Result<SupervisedProcess::Started> SupervisedProcess::spawn() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return os_error(errno, "pipe");
  Started started{.process = nullptr, .ready = OwnedFd(ends[0])};
  const OwnedFd write_end(ends[1]);
  TRY(const OwnedFd sockets, sockets_.open_channel());
  rt::SpawnOptions options{.arguments = {path_of(program_)}};
  options.arguments.insert(options.arguments.end(), options_.arguments.begin(),
                           options_.arguments.end());
  options.arguments.insert(options.arguments.end(), {"--ready-fd", std::to_string(kReadyFd),
                                                     "--sockets-fd", std::to_string(kSocketsFd)});
  options.descriptors = {{.child = 1, .ours = 1},
                         {.child = 2, .ours = 2},
                         {.child = kReadyFd, .ours = write_end.get()},
                         {.child = kSocketsFd, .ours = sockets.get()}};
  options.die_with_parent = true;
  options.own_process_group = true;
  TRY(started.process, rt::Process::spawn(loop_, driver_, options));
  return started;
}

rt::Task<Result<void>> SupervisedProcess::wait_ready(OwnedFd ready) const {
  rt::WatchedEvent event(loop_, driver_, std::move(ready));
  CO_TRY_VOID(event.start());
  for (;;) {
    char byte = 0;
    const ssize_t count = ::read(event.fd.get(), &byte, 1);
    if (count == 1) co_return Result<void>();
    if (count == 0) co_return fail(Code::closed, options_.name + " ended before it was ready");
    if (errno != EAGAIN) co_return os_error(errno, "waiting for " + options_.name);
    co_await rt::wait_on(event.happened);
  }
}

rt::Task<Result<void>> SupervisedProcess::start() {
  CO_TRY_VOID(co_await start_one());
  begun_ = true;
  keeper_.spawn(keep_running());
  co_return Result<void>();
}

// When it did not become ready nothing is left of it.
rt::Task<Result<void>> SupervisedProcess::start_one() {
  CO_TRY(Started started, spawn());
  process_ = std::move(started.process);
  auto ready = co_await rt::with_deadline(loop_, loop_.now() + kStartTime,
                                          wait_ready(std::move(started.ready)));
  if (!ready && ready.error().code == Code::timed_out) {
    ready =
        failf(Code::timed_out, "{} was not ready within {} s", options_.name, kStartTime.count());
    (void)process_->signal(SIGKILL);
  }
  if (!ready) {
    (void)process_->signal(SIGTERM);
    (void)co_await process_->exited();
    process_.reset();
  }
  co_return ready;
}

rt::Task<void> SupervisedProcess::keep_running() {
  Duration pause{};
  Instant started_at = loop_.now();
  for (;;) {
    if (process_) {
      const auto status = co_await process_->exited();
      process_.reset();
      log::warn(options_.name + " ended; starting it again",
                {{"with", status ? describe(*status) : status.error().message}});
      if (loop_.now() - started_at > kStable) pause = {};
    }
    co_await rt::sleep(loop_, pause);
    pause = std::clamp(pause * 2, kPauseMin, kPauseMax);
    started_at = loop_.now();
    auto again = spawn();
    if (again) {
      process_ = std::move(again->process);
    } else {
      log::error(options_.name + " cannot be started", {{"why", again.error().message}});
    }
  }
}

rt::Task<Result<void>> SupervisedProcess::replace(Program program) {
  keeper_.cancel();
  co_await retire();
  std::swap(program_, program);
  auto outcome = co_await start_one();
  if (!outcome) {
    std::swap(program_, program);
    const auto back = co_await start_one();
    if (!back) log::error(options_.name + " cannot be started", {{"why", back.error().message}});
  }
  keeper_.spawn(keep_running());
  co_return outcome;
}

// From when it returns on the next one may begin.
rt::Task<void> SupervisedProcess::retire() {
  if (!process_) co_return;
  (void)process_->signal(kRetireSignal);
  const auto outcome =
      co_await rt::race(sockets_.retired(), rt::until(loop_, loop_.now() + kRetireTime));
  std::unique_ptr<rt::Process> process = std::move(process_);
  if (outcome.index() == 1) {
    log::error(options_.name + " does not make room; killing it", {});
    (void)process->signal(SIGKILL);
    co_await see_off(std::move(process));
  } else if (options_.retirement > Duration{}) {
    retired_.spawn(see_off(std::move(process)));
  } else {
    co_await see_off(std::move(process));
  }
}

rt::Task<void> SupervisedProcess::see_off(std::unique_ptr<rt::Process> process) {
  retired_pids_.insert(process->pid());
  (void)co_await end_by(loop_, *process, loop_.now() + options_.retirement + kRetireTime,
                        options_.name + " was replaced and does not end; killing it");
  retired_pids_.erase(process->pid());
}

json::object SupervisedProcess::hand_over(std::vector<int>& descriptors) const {
  json::object state;
  if (process_) state["pid"] = process_->pid();
  json::array retired;
  for (const int pid : retired_pids_) retired.emplace_back(pid);
  state["retired"] = std::move(retired);
  sockets_.hand_over(state, descriptors);
  return state;
}

Result<void> SupervisedProcess::resume(const json::object& state) {
  TRY_VOID(sockets_.resume(state));
  // One that has ended is started again; a child that nobody has reaped keeps its number.
  const auto adopt = [this](const json::value& pid) {
    return rt::Process::adopt(loop_, driver_, pid.to_number<int>());
  };
  if (const auto* pid = state.if_contains("pid")) {
    if (auto process = adopt(*pid)) process_ = *std::move(process);
  }
  for (const auto& pid : state.at("retired").as_array()) {
    if (auto process = adopt(pid)) retired_.spawn(see_off(*std::move(process)));
  }
  begun_ = true;
  keeper_.spawn(keep_running());
  return {};
}

rt::Task<bool> SupervisedProcess::end(Duration patience) {
  (void)process_->signal(SIGTERM);
  const bool in_order = co_await end_by(loop_, *process_, loop_.now() + patience,
                                        options_.name + " does not end; killing it");
  process_.reset();
  co_return in_order;
}

rt::Task<void> SupervisedProcess::take_over(Duration patience) {
  auto again = spawn();
  if (!again) {
    log::error(options_.name + " cannot be started to clean up", {{"why", again.error().message}});
    co_return;
  }
  process_ = std::move(again->process);
  const auto ready = co_await rt::with_deadline(loop_, loop_.now() + patience,
                                                wait_ready(std::move(again->ready)));
  const bool in_order = co_await end(patience);
  if (!ready || !in_order) log::error(options_.name + " did not clean up", {});
}

rt::Task<void> SupervisedProcess::stop(Duration patience) {
  keeper_.cancel();
  if (!process_) {
    if (options_.leaves_work && begun_) co_await take_over(patience);
    co_return;
  }
  // How it ended says whether it cleaned up, not whether it lived a moment ago: it may be dying.
  const bool in_order = co_await end(patience);
  if (!in_order && options_.leaves_work) co_await take_over(patience);
}

}  // namespace tulle::app
