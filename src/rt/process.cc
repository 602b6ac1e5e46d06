#include "rt/process.h"

#include "rt/combine.h"
#include "rt/watched_event.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <optional>

// glibc 2.36 forgot to declare these as C.
extern "C" {
#include <sys/pidfd.h>
}

extern char** environ;

namespace tulle::rt {

namespace {

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const auto& text : strings) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

std::optional<rlimit> descriptors_before;  // the limit before it was raised

// Everything the child needs, made before the fork: after it only async-signal-safe calls.
struct Prepared {
  std::vector<char*> arguments;
  std::vector<char*> environment;
  std::vector<SpawnOptions::Descriptor> descriptors;
  const char* directory;
  bool die_with_parent;
  bool own_process_group;
  int parent;
  int report;
};

// First above every target number, so that no move overwrites one still to be moved.
bool place_descriptors(Prepared& prepared) {
  int highest = 2;
  for (const auto& each : prepared.descriptors) highest = std::max(highest, each.child);
  for (auto& each : prepared.descriptors) {
    each.ours = ::fcntl(each.ours, F_DUPFD_CLOEXEC, highest + 1);
    if (each.ours < 0) return false;
  }
  prepared.report = ::fcntl(prepared.report, F_DUPFD_CLOEXEC, highest + 1);
  for (const auto& each : prepared.descriptors) {
    if (::dup2(each.ours, each.child) < 0) return false;
  }
  for (int standard = 0; standard <= 2; ++standard) {
    const bool named = std::ranges::any_of(
        prepared.descriptors, [standard](const auto& each) { return each.child == standard; });
    if (named) continue;
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || ::dup2(null, standard) < 0) return false;
  }
  return true;
}

[[noreturn]] void run_child(Prepared& prepared) {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  bool fine = place_descriptors(prepared);
  if (fine && prepared.die_with_parent) {
    fine = ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && ::getppid() == prepared.parent;
  }
  if (fine && prepared.own_process_group) fine = ::setpgid(0, 0) == 0;
  if (fine && prepared.directory != nullptr) fine = ::chdir(prepared.directory) == 0;
  if (fine) {
    // Not before: the descriptors were placed above all that are open here.
    if (descriptors_before) ::setrlimit(RLIMIT_NOFILE, &*descriptors_before);
    char** environment = prepared.environment.size() > 1 ? prepared.environment.data() : environ;
    ::execvpe(prepared.arguments[0], prepared.arguments.data(), environment);
  }
  const int number = errno;
  (void)!::write(prepared.report, &number, sizeof number);
  ::_exit(127);
}

}  // namespace

struct Process::State {
  State(Loop& loop, EpollDriver& driver, OwnedFd pidfd, int number)
      : event(loop, driver, std::move(pidfd)), pid(number) {}
  WatchedEvent event;
  int pid;
  bool ended = false;
  ExitStatus status;
};

Process::Process(std::unique_ptr<State> state) : state_(std::move(state)) {}
Process::~Process() = default;

Result<std::unique_ptr<Process>> Process::spawn(Loop& loop, EpollDriver& driver,
                                                const SpawnOptions& options) {
  if (options.arguments.empty()) return fail(Code::invalid_argument, "no command to run");
  std::array<int, 2> report{};
  if (::pipe2(report.data(), O_CLOEXEC) != 0) return os_error(errno, "pipe");
  const OwnedFd report_read(report[0]);
  OwnedFd report_write(report[1]);
  Prepared prepared{.arguments = pointers(options.arguments),
                    .environment = pointers(options.environment),
                    .descriptors = options.descriptors,
                    .directory = options.directory.empty() ? nullptr : options.directory.c_str(),
                    .die_with_parent = options.die_with_parent,
                    .own_process_group = options.own_process_group,
                    .parent = ::getpid(),
                    .report = report[1]};
  const pid_t pid = ::fork();
  if (pid < 0) return os_error(errno, "fork");
  if (pid == 0) run_child(prepared);
  report_write.reset();
  OwnedFd pidfd(::pidfd_open(pid, 0));
  int number = 0;
  const bool failed = ::read(report_read.get(), &number, sizeof number) == sizeof number;
  if (failed || !pidfd) {
    const int cause = failed ? number : errno;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return os_error(cause, "starting " + options.arguments[0]);
  }
  auto state = std::make_unique<State>(loop, driver, std::move(pidfd), pid);
  TRY_VOID(state->event.start());
  return std::unique_ptr<Process>(new Process(std::move(state)));
}

Result<std::unique_ptr<Process>> Process::adopt(Loop& loop, EpollDriver& driver, int pid) {
  OwnedFd pidfd(::pidfd_open(pid, 0));
  if (!pidfd) return os_error(errno, "process " + std::to_string(pid));
  auto state = std::make_unique<State>(loop, driver, std::move(pidfd), pid);
  TRY_VOID(state->event.start());
  return std::unique_ptr<Process>(new Process(std::move(state)));
}

int Process::pid() const { return state_->pid; }

Task<Result<ExitStatus>> Process::exited() {
  while (!state_->ended) {
    siginfo_t info{};
    const auto fd = static_cast<id_t>(state_->event.fd.get());
    if (::waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG) != 0) {
      co_return os_error(errno, "waitid");
    }
    if (info.si_pid == 0) {
      co_await wait_on(state_->event.happened);
      continue;
    }
    state_->ended = true;
    if (info.si_code == CLD_EXITED) {
      state_->status = {.code = info.si_status, .signal = 0};
    } else {
      state_->status = {.code = 0, .signal = info.si_status};
    }
  }
  co_return state_->status;
}

namespace {

Result<void> send_signal(int pidfd, int number) {
  if (::pidfd_send_signal(pidfd, number, nullptr, 0) != 0) return os_error(errno, "signal");
  return {};
}

}  // namespace

Result<void> Process::signal(int number) { return send_signal(state_->event.fd.get(), number); }

namespace {

// A zombie has: whoever ought to reap it may take its time.
bool has_ended(int pidfd) {
  pollfd asked{.fd = pidfd, .events = POLLIN, .revents = 0};
  return ::poll(&asked, 1, 0) > 0;
}

}  // namespace

struct ProcessWatch::State {
  State(Loop& loop, EpollDriver& driver, OwnedFd pidfd) : event(loop, driver, std::move(pidfd)) {}
  WatchedEvent event;
};

ProcessWatch::ProcessWatch(std::unique_ptr<State> state) : state_(std::move(state)) {}
ProcessWatch::~ProcessWatch() = default;

Result<std::unique_ptr<ProcessWatch>> ProcessWatch::open(Loop& loop, EpollDriver& driver, int pid) {
  OwnedFd pidfd(::pidfd_open(pid, 0));
  if (!pidfd) return os_error(errno, "process " + std::to_string(pid));
  auto state = std::make_unique<State>(loop, driver, std::move(pidfd));
  TRY_VOID(state->event.start());
  return std::unique_ptr<ProcessWatch>(new ProcessWatch(std::move(state)));
}

Task<void> ProcessWatch::gone() {
  while (!has_ended(state_->event.fd.get())) co_await wait_on(state_->event.happened);
}

Result<void> ProcessWatch::signal(int number) {
  return send_signal(state_->event.fd.get(), number);
}

struct Signals::State {
  State(Loop& loop, EpollDriver& driver, OwnedFd fd) : event(loop, driver, std::move(fd)) {}
  WatchedEvent event;
};

Signals::Signals(std::unique_ptr<State> state) : state_(std::move(state)) {}
Signals::~Signals() = default;

Result<std::unique_ptr<Signals>> Signals::watch(Loop& loop, EpollDriver& driver,
                                                const std::vector<int>& numbers) {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : numbers) ::sigaddset(&set, number);
  if (::pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) return os_error(errno, "sigmask");
  OwnedFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return os_error(errno, "signalfd");
  auto state = std::make_unique<State>(loop, driver, std::move(fd));
  TRY_VOID(state->event.start());
  return std::unique_ptr<Signals>(new Signals(std::move(state)));
}

Task<int> Signals::next() {
  for (;;) {
    signalfd_siginfo info{};
    if (::read(state_->event.fd.get(), &info, sizeof info) == sizeof info) {
      co_return static_cast<int>(info.ssi_signo);
    }
    co_await wait_on(state_->event.happened);
  }
}

namespace {

constexpr Duration kDrainTime = std::chrono::milliseconds(100);

struct Pipe {
  OwnedFd read;
  OwnedFd write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return os_error(errno, "pipe");
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return Pipe{.read = OwnedFd(ends[0]), .write = OwnedFd(ends[1])};
}

Task<void> collect(WatchedEvent& event, std::string& out, std::size_t bytes_max) {
  std::array<char, 16 * 1024> buffer;
  for (;;) {
    const ssize_t count = ::read(event.fd.get(), buffer.data(), buffer.size());
    if (count == 0) co_return;
    if (count > 0) {
      const auto room = bytes_max - std::min(bytes_max, out.size());
      out.append(buffer.data(), std::min(room, static_cast<std::size_t>(count)));
    } else if (errno == EAGAIN) {
      co_await wait_on(event.happened);
    } else if (errno != EINTR) {
      co_return;
    }
  }
}

}  // namespace

Task<Result<CommandOutput>> run_command(Loop& loop, EpollDriver& driver, SpawnOptions options,
                                        std::size_t output_bytes_max) {
  CO_TRY(Pipe out, make_pipe());
  CO_TRY(Pipe err, make_pipe());
  options.descriptors.push_back({.child = 1, .ours = out.write.get()});
  options.descriptors.push_back({.child = 2, .ours = err.write.get()});
  CO_TRY(const auto process, Process::spawn(loop, driver, options));
  out.write.reset();
  err.write.reset();
  WatchedEvent out_event(loop, driver, std::move(out.read));
  WatchedEvent err_event(loop, driver, std::move(err.read));
  CO_TRY_VOID(out_event.start());
  CO_TRY_VOID(err_event.start());
  CommandOutput output;
  Scope scope(loop);
  scope.spawn(collect(out_event, output.output, output_bytes_max));
  scope.spawn(collect(err_event, output.errors, output_bytes_max));
  CO_TRY(output.status, co_await process->exited());
  // What is left in the pipes is read in the coming turns; children of the command that keep them
  // open are not waited for.
  co_await race(scope.idle(), until(loop, loop.now() + kDrainTime));
  co_return output;
}

Error execute(const std::string& program, const std::vector<std::string>& arguments,
              const std::vector<int>& descriptors) {
  for (const int fd : descriptors) ::fcntl(fd, F_SETFD, 0);
  ::execv(program.c_str(), pointers(arguments).data());
  const int number = errno;
  for (const int fd : descriptors) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  return os_error(number, "running " + program);
}

std::uint64_t descriptors_of_children() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return descriptors_before.value_or(limit).rlim_cur;
}

void set_descriptors_of_children(std::uint64_t count) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::min<rlim_t>(count, limit.rlim_max);
  descriptors_before = limit;
}

void allow_all_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  if (!descriptors_before) descriptors_before = limit;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace tulle::rt
