#include "node/shim.h"

#include "base/owned_fd.h"
#include "base/result.h"
#include "base/text.h"
#include "net/fd_channel.h"
#include "net/kernel_network.h"
#include "node/attendance.h"
#include "node/image_files.h"
#include "node/log_format.h"
#include "node/process_identity.h"
#include "node/runtime.h"
#include "node/short_directory.h"
#include "rt/combine.h"
#include "rt/epoll_driver.h"

#include <fmt/format.h>

#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string>

extern char** environ;

namespace tulle::node {

namespace {

constexpr std::uint64_t kSmallFileMax = 1024 * 1024;
constexpr Duration kTerminalTimeout = std::chrono::seconds(5);
constexpr std::size_t kLastWordBytesMax = 256;

struct ShimOptions {
  Runtime runtime;
  std::string bundle;
  std::string id;
  std::string log_file;
  ShimStreams streams;
  rt::EpollDriver& driver;

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

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return os_error(errno, "pipe");
  return Pipe{.read = OwnedFd(ends[0]), .write = OwnedFd(ends[1])};
}

struct Stdio {
  int in;
  int out;
  int err;
};

// Runs a command to its end; its wait status, or -1. Other children stay unreaped.
int run_to_end(std::vector<std::string> command, const Stdio& stdio) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, stdio.in, 0);
  ::posix_spawn_file_actions_adddup2(&actions, stdio.out, 1);
  ::posix_spawn_file_actions_adddup2(&actions, stdio.err, 2);
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

Result<ShimStreams> parse_streams(std::string_view argument) {
  ShimStreams streams;
  while (!argument.empty()) {
    const std::string_view word = take_until(argument, ',');
    if (word == "input") {
      streams.input = true;
    } else if (word == "input-once") {
      streams.input_once = true;
    } else if (word == "terminal") {
      streams.terminal = true;
    } else if (word != "output") {
      return fail(Code::invalid_argument, "a stream that is not known");
    }
  }
  return streams;
}

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

// How the container ended. The file has its blocks from the start: a disk that is full by then does
// not take the word away.
class LastWord final {
 public:
  explicit LastWord(const ShimOptions& options) : options_(options) {
    file_ = OwnedFd(::open(written().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (file_) (void)write_at(file_.get(), std::string(kLastWordBytesMax, ' '), 0);
  }

  void write(int status, bool out_of_memory) {
    const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    const std::string text =
        fmt::format(R"({{"code":{},"signal":{},"oomKilled":{},"finishedAt":"{}"}})", code, signal,
                    out_of_memory, format_nano_time(options_.driver.wall_now()));
    if (!file_ || !write_at(file_.get(), text, 0)) return;
    (void)!::ftruncate(file_.get(), static_cast<off_t>(text.size()));
    (void)std::rename(written().c_str(), options_.file("exit").c_str());
  }

 private:
  std::string written() const { return options_.file("exit.new"); }

  const ShimOptions& options_;
  OwnedFd file_;
};

void remove_from_runtime(const ShimOptions& options) {
  const OwnedFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  (void)run_to_end(options.runtime.remove(options.id),
                   {.in = null.get(), .out = null.get(), .err = null.get()});
}

// Our ends of what the first process reads and writes.
struct Started {
  int pid = 0;
  std::shared_ptr<net::Stream> input;
  Attendance::Streams output;
  OwnedFd terminal;
};

Result<int> start_with(const ShimOptions& options, const Stdio& stdio,
                       const std::string& console_socket) {
  const int outcome = run_to_end(options.runtime.run({.bundle = options.bundle,
                                                      .id = options.id,
                                                      .pid_file = options.file("pid"),
                                                      .log = options.file("runtime.log"),
                                                      .console_socket = console_socket}),
                                 stdio);
  if (outcome != 0) return fail(Code::unavailable, why_not_started(options));
  return read_pid(options.file("pid"));
}

Result<Started> start_with_pipes(const ShimOptions& options, net::KernelNetwork& network) {
  TRY(Pipe in, make_pipe());
  TRY(Pipe out, make_pipe());
  TRY(Pipe err, make_pipe());
  if (!options.streams.input) in.read = OwnedFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  Started started;
  TRY(started.pid,
      start_with(options, {.in = in.read.get(), .out = out.write.get(), .err = err.write.get()},
                 ""));
  if (options.streams.input) {
    TRY(started.input, network.adopt(std::move(in.write)));
  }
  TRY(started.output.output, network.adopt(std::move(out.read)));
  TRY(started.output.errors, network.adopt(std::move(err.read)));
  return started;
}

// The descriptor that the runtime has sent to the console socket.
rt::Task<Result<OwnedFd>> receive_terminal(rt::Loop& loop, rt::EpollDriver& driver,
                                           net::Listener& listener) {
  CO_TRY(const auto stream, co_await listener.accept());
  CO_TRY(const auto channel,
         net::FdChannel::adopt(loop, driver,
                               OwnedFd(::fcntl(stream->plain_fd(), F_DUPFD_CLOEXEC, 0))));
  CO_TRY(net::FdMessage message, co_await channel->receive());
  if (message.fds.empty()) co_return fail(Code::malformed, "the runtime has sent no terminal");
  co_return std::move(message.fds.front());
}

Result<Started> start_with_terminal(const ShimOptions& options, rt::Loop& loop,
                                    net::KernelNetwork& network, const ShortDirectory& bundle) {
  const std::string console = bundle.path("console");
  TRY(const auto listener, network.listen_unix(console));
  const OwnedFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  Started started;
  TRY(started.pid,
      start_with(options, {.in = null.get(), .out = null.get(), .err = null.get()}, console));
  TRY(started.terminal,
      loop.run(rt::with_deadline(loop, loop.now() + kTerminalTimeout,
                                 receive_terminal(loop, options.driver, *listener))));
  ::unlink(console.c_str());
  TRY(started.output.output,
      network.adopt(OwnedFd(::fcntl(started.terminal.get(), F_DUPFD_CLOEXEC, 0))));
  if (options.streams.input) started.input = started.output.output;
  return started;
}

// From the start to the end of the container. `say` is told "" when it has started. Error: why not.
Result<void> live(const ShimOptions& options, const std::function<void(std::string_view)>& say) {
  rt::Loop loop(options.driver);
  net::KernelNetwork network(loop, options.driver);
  TRY(const auto children, rt::Signals::watch(loop, options.driver, {SIGCHLD}));
  TRY(const ShortDirectory bundle, ShortDirectory::open(options.bundle));
  TRY(auto listener, network.listen_unix(bundle.path("attach")));
  TRY(Started started, options.streams.terminal
                           ? start_with_terminal(options, loop, network, bundle)
                           : start_with_pipes(options, network));
  write_whole(options.file("process"), identity_of(started.pid));
  write_whole(options.file("started"), format_nano_time(options.driver.wall_now()));
  const MemoryGroup memory(started.pid);
  LastWord last_word(options);
  say("");
  AttachHub hub(loop, std::move(listener),
                {.input = std::move(started.input),
                 .input_once = options.streams.input_once,
                 .terminal = started.terminal ? started.terminal.get() : -1});
  Attendance attendance(loop, *children, hub, std::move(started.output), options.log_file);
  const int status = loop.run(attendance.attend(started.pid));
  const bool out_of_memory = memory.killed();
  remove_from_runtime(options);
  last_word.write(status, out_of_memory);
  return {};
}

// The process that stays. `report` gets "" for started or else the reason, and is closed.
int stay(const ShimOptions& options, OwnedFd report) {
  const auto say = [&report](std::string_view text) {
    (void)!::write(report.get(), text.data(), text.size());
    report.reset();
  };
  write_whole(options.file("shim"), identity_of(::getpid()));
  const auto lived = live(options, say);
  if (lived) return 0;
  remove_from_runtime(options);
  say(lived.error().message);
  return 1;
}

void detach_from_caller() {
  ::setsid();
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  for (const int ignored : {SIGHUP, SIGINT, SIGTERM, SIGPIPE}) ::signal(ignored, SIG_IGN);
  const OwnedFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int standard = 0; standard <= 2; ++standard) ::dup2(null.get(), standard);
}

}  // namespace

std::string to_argument(const ShimStreams& streams) {
  std::string words = "output";
  if (streams.input) words += ",input";
  if (streams.input_once) words += ",input-once";
  if (streams.terminal) words += ",terminal";
  return words;
}

int run_shim(int argc, char** argv) {
  const auto streams =
      argc == 8 ? parse_streams(argv[7]) : Result<ShimStreams>(fail(Code::invalid_argument, ""));
  if (!streams) {
    ::dprintf(STDERR_FILENO, "usage: tulle shim RUNTIME RUNTIME_ROOT BUNDLE ID LOG_FILE STREAMS\n");
    return 2;
  }
  auto driver = rt::EpollDriver::create();
  auto report = make_pipe();
  const pid_t pid = report && driver ? ::fork() : -1;
  if (pid < 0) {
    ::dprintf(STDERR_FILENO, "the shim cannot start: %s\n", std::strerror(errno));
    return 1;
  }
  const ShimOptions options{.runtime = {argv[2], argv[3]},
                            .bundle = argv[4],
                            .id = argv[5],
                            .log_file = argv[6],
                            .streams = *streams,
                            .driver = *driver};
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
