#include "node/shim.h"

#include "base/owned_fd.h"
#include "base/result.h"
#include "node/image_files.h"
#include "node/log_writer.h"
#include "node/process_identity.h"
#include "node/runtime.h"
#include "rt/epoll_driver.h"

#include <fmt/format.h>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>

extern char** environ;

namespace tulle::node {

namespace {

constexpr std::uint64_t kSmallFileMax = 1024 * 1024;
// How long the pipes may stay open after the container's end, held by somebody else.
constexpr int kDrainMilliseconds = 500;

struct ShimOptions {
  Runtime runtime;
  std::string bundle;
  std::string id;
  std::string log_file;
  rt::Driver& clock;

  std::string file(const char* name) const { return bundle + "/" + name; }
};

// Written beside and renamed: a reader sees all of it or nothing.
void write_whole(const std::string& path, std::string_view text) {
  const std::string temporary = path + ".new";
  const OwnedFd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file || !write_at(file.get(), text, 0)) return;
  (void)std::rename(temporary.c_str(), path.c_str());
}

struct Pipe {
  OwnedFd read;
  OwnedFd write;
};

std::optional<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::nullopt;
  return Pipe{.read = OwnedFd(ends[0]), .write = OwnedFd(ends[1])};
}

// Runs a command to its end; its wait status, or -1. Other children stay unreaped.
int run_to_end(std::vector<std::string> command, int out, int err) {
  std::vector<char*> arguments;
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, out, 1);
  ::posix_spawn_file_actions_adddup2(&actions, err, 2);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  sigset_t usual;
  ::sigfillset(&usual);
  ::posix_spawnattr_setsigdefault(&attributes, &usual);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  const int failed =
      ::posix_spawnp(&pid, arguments[0], &actions, &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return -1;
  int status = -1;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return status;
}

// How often the kernel killed for want of memory in the group of this process: cgroup v1's
// memory.oom_control and v2's memory.events both say "oom_kill N".
class MemoryGroup final {
 public:
  explicit MemoryGroup(int pid) {
    const auto groups = read_small_file(fmt::format("/proc/{}/cgroup", pid), kSmallFileMax);
    if (!groups) return;
    for (std::size_t begin = 0; begin < groups->size();) {
      const std::size_t end = std::min(groups->find('\n', begin), groups->size());
      look_at(std::string_view(*groups).substr(begin, end - begin));
      begin = end + 1;
    }
  }

  bool killed() const {
    const auto text = read_small_file(file_, kSmallFileMax);
    if (!text) return false;
    const std::size_t at = text->find("oom_kill ");
    return at != std::string::npos && text->compare(at + 9, 1, "0") != 0;
  }

 private:
  // "4:memory:/path" or "0::/path".
  void look_at(std::string_view line) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) return;
    const std::string_view kind = line.substr(first + 1, second - first - 1);
    const std::string_view path = line.substr(second + 1);
    if (kind == "memory") file_ = fmt::format("/sys/fs/cgroup/memory{}/memory.oom_control", path);
    if (kind.empty() && file_.empty()) file_ = fmt::format("/sys/fs/cgroup{}/memory.events", path);
  }

  std::string file_;
};

// The container's output and end.
class Attendance final {
 public:
  Attendance(const ShimOptions& options, Pipe out, Pipe err, OwnedFd signals)
      : out_(std::move(out)),
        err_(std::move(err)),
        signals_(std::move(signals)),
        clock_(options.clock),
        log_(options.log_file) {}

  int out() const { return out_.write.get(); }
  int err() const { return err_.write.get(); }
  void close_writers() {
    out_.write.reset();
    err_.write.reset();
  }

  // The wait status of `pid`, once all that it printed is in the log.
  int attend(int pid) {
    std::optional<int> status;
    while (!status || out_.read || err_.read) {
      std::array<pollfd, 3> watched{pollfd{out_.read.get(), POLLIN, 0},
                                    pollfd{err_.read.get(), POLLIN, 0},
                                    pollfd{signals_.get(), POLLIN, 0}};
      const int ready = ::poll(watched.data(), watched.size(), status ? kDrainMilliseconds : -1);
      if (ready == 0) break;
      if (ready < 0 && errno != EINTR) break;
      if (watched[0].revents != 0) copy(out_.read, LogWriter::Stream::out);
      if (watched[1].revents != 0) copy(err_.read, LogWriter::Stream::err);
      if (watched[2].revents != 0) reap(pid, status);
    }
    log_.end(clock_.wall_now());
    return status.value_or(-1);
  }

 private:
  void copy(OwnedFd& from, LogWriter::Stream stream) {
    std::array<char, 64 * 1024> buffer;
    const ssize_t count = ::read(from.get(), buffer.data(), buffer.size());
    if (count > 0) {
      log_.add(stream, {buffer.data(), static_cast<std::size_t>(count)}, clock_.wall_now());
    } else if (count == 0 || errno != EINTR) {
      from.reset();
    }
  }

  void reap(int pid, std::optional<int>& status) {
    signalfd_siginfo info{};
    (void)!::read(signals_.get(), &info, sizeof info);
    int each = 0;
    for (pid_t ended; (ended = ::waitpid(-1, &each, WNOHANG)) > 0;) {
      if (ended == pid) status = each;
    }
  }

  Pipe out_;
  Pipe err_;
  OwnedFd signals_;
  rt::Driver& clock_;
  LogWriter log_;
};

std::string why_not_started(const ShimOptions& options) {
  const auto log = read_small_file(options.file("runtime.log"), kSmallFileMax);
  const std::string why = log ? last_log_message(*log) : "";
  return why.empty() ? options.runtime.program() + " could not be run" : why;
}

Result<int> read_pid(const std::string& path) {
  TRY(const std::string text, read_small_file(path, kSmallFileMax));
  int pid = 0;
  std::from_chars(text.data(), text.data() + text.size(), pid);
  if (pid <= 0) return fail(Code::malformed, path + " holds no process id");
  return pid;
}

void write_exit(const ShimOptions& options, int status, bool out_of_memory) {
  const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  write_whole(options.file("exit"),
              fmt::format(R"({{"code":{},"signal":{},"oomKilled":{},"finishedAt":"{}"}})", code,
                          signal, out_of_memory, format_nano_time(options.clock.wall_now())));
}

void remove_from_runtime(const ShimOptions& options) {
  const OwnedFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  (void)run_to_end(options.runtime.remove(options.id), null.get(), null.get());
}

// The process that stays. `report` gets "" for started or else the reason, and is closed.
int stay(const ShimOptions& options, OwnedFd report) {
  const auto say = [&report](std::string_view text) {
    (void)!::write(report.get(), text.data(), text.size());
    report.reset();
  };
  write_whole(options.file("shim"), identity_of(::getpid()));
  auto out = make_pipe();
  auto err = make_pipe();
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &child, nullptr);
  OwnedFd signals(::signalfd(-1, &child, SFD_CLOEXEC));
  if (!out || !err || !signals) {
    say("out of file descriptors");
    return 1;
  }
  Attendance attendance(options, *std::move(out), *std::move(err), std::move(signals));
  const int outcome = run_to_end(options.runtime.run(options.bundle, options.file("pid"),
                                                     options.file("runtime.log"), options.id),
                                 attendance.out(), attendance.err());
  attendance.close_writers();
  const auto pid = outcome == 0 ? read_pid(options.file("pid"))
                                : Result<int>(fail(Code::unavailable, why_not_started(options)));
  if (!pid) {
    remove_from_runtime(options);
    say(pid.error().message);
    return 1;
  }
  write_whole(options.file("started"), format_nano_time(options.clock.wall_now()));
  const MemoryGroup memory(*pid);
  report.reset();
  const int status = attendance.attend(*pid);
  const bool out_of_memory = memory.killed();
  remove_from_runtime(options);
  write_exit(options, status, out_of_memory);
  return 0;
}

void detach_from_caller() {
  ::setsid();
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  for (const int ignored : {SIGHUP, SIGINT, SIGTERM, SIGPIPE}) ::signal(ignored, SIG_IGN);
  const OwnedFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int standard = 0; standard <= 2; ++standard) ::dup2(null.get(), standard);
}

}  // namespace

int run_shim(int argc, char** argv) {
  if (argc != 7) {
    ::dprintf(STDERR_FILENO, "usage: tulle shim RUNTIME RUNTIME_ROOT BUNDLE ID LOG_FILE\n");
    return 2;
  }
  auto clock = rt::EpollDriver::create();
  auto report = make_pipe();
  const pid_t pid = report && clock ? ::fork() : -1;
  if (pid < 0) {
    ::dprintf(STDERR_FILENO, "the shim cannot start: %s\n", std::strerror(errno));
    return 1;
  }
  const ShimOptions options{.runtime = {argv[2], argv[3]},
                            .bundle = argv[4],
                            .id = argv[5],
                            .log_file = argv[6],
                            .clock = *clock};
  if (pid == 0) {
    detach_from_caller();
    report->read.reset();
    ::_exit(stay(options, std::move(report->write)));
  }
  report->write.reset();
  std::string why;
  std::array<char, 4096> buffer;
  for (ssize_t count; (count = ::read(report->read.get(), buffer.data(), buffer.size())) != 0;) {
    if (count > 0) why.append(buffer.data(), static_cast<std::size_t>(count));
    if (count < 0 && errno != EINTR) break;
  }
  // A shim that died before it said anything has not started the container for certain.
  if (why.empty() && ::access(options.file("started").c_str(), F_OK) != 0) {
    why = "the shim died while it started the container";
  }
  if (why.empty()) return 0;
  ::dprintf(STDERR_FILENO, "%s\n", why.c_str());
  return 1;
}

}  // namespace tulle::node
