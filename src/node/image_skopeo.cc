#include "node/image_skopeo.h"

#include "base/format.h"
#include "base/owned_fd.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

namespace tulle::node {
namespace {

constexpr std::size_t message_bytes_max = 4096;

// A program that was started, in a process group of its own.
struct Child {
  pid_t pid = 0;
  OwnedFd handle;  // pidfd
  OwnedFd errors;  // what it writes to standard error
};

struct SpawnSettings {
  SpawnSettings() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

Result<Child> start(std::vector<std::string> arguments) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return os_error(errno, "pipe");
  Child child;
  child.errors = OwnedFd(ends[0]);
  const OwnedFd write_end(ends[1]);

  SpawnSettings settings;
  posix_spawn_file_actions_addopen(&settings.actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&settings.actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&settings.actions, write_end.get(), 2);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&settings.attributes, &none);
  posix_spawnattr_setsigdefault(&settings.attributes, &all);
  posix_spawnattr_setpgroup(&settings.attributes, 0);
  posix_spawnattr_setflags(&settings.attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const int error = ::posix_spawnp(&child.pid, argv[0], &settings.actions, &settings.attributes,
                                   argv.data(), environ);
  if (error != 0) return os_error(error, fmt::format("start {}", arguments[0]));
  child.handle = OwnedFd(static_cast<int>(::syscall(SYS_pidfd_open, child.pid, 0)));
  return child;
}

// Appends what can be read now to `text`, of which only the end is kept.
void read_available(int fd, std::string& text) {
  std::array<char, 4096> buffer;
  while (true) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    text.append(buffer.data(), static_cast<std::size_t>(count));
    if (text.size() > message_bytes_max) text.erase(0, text.size() - message_bytes_max);
  }
}

Result<OwnedFd> start_timer(Duration after) {
  OwnedFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) return os_error(errno, "timer");
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(after);
  itimerspec when{};
  when.it_value.tv_sec = seconds.count();
  when.it_value.tv_nsec = (after - seconds).count();
  if (::timerfd_settime(timer.get(), 0, &when, nullptr) != 0) return os_error(errno, "timer");
  return timer;
}

enum class Ending { exited, timed_out };

// Waits until the child has ended, or kills it at the time limit. Its process stays to be reaped.
Result<Ending> wait_for_end(const Child& child, Duration time_max, std::string& text) {
  TRY(const OwnedFd timer, start_timer(time_max));
  std::array<pollfd, 3> waits{{{.fd = child.handle.get(), .events = POLLIN, .revents = 0},
                               {.fd = timer.get(), .events = POLLIN, .revents = 0},
                               {.fd = child.errors.get(), .events = POLLIN, .revents = 0}}};
  while (true) {
    if (::poll(waits.data(), waits.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return os_error(errno, "poll");
    }
    if (waits[2].revents != 0) read_available(child.errors.get(), text);
    // At the end of its output the pipe is always ready.
    if ((waits[2].revents & (POLLHUP | POLLERR)) != 0) waits[2].fd = -1;
    if (waits[0].revents != 0) return Ending::exited;
    if (waits[1].revents != 0) return Ending::timed_out;
  }
}

// The last line, and of one in logfmt only its `msg`.
std::string last_words(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  if (const std::size_t line = text.rfind('\n'); line != std::string_view::npos) {
    text.remove_prefix(line + 1);
  }
  constexpr std::string_view mark = "msg=\"";
  const std::size_t message = text.find(mark);
  if (message == std::string_view::npos || !text.ends_with('"')) return std::string(text);
  text.remove_prefix(message + mark.size());
  text.remove_suffix(1);
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    plain += text[i];
  }
  return plain;
}

// skopeo takes a tag or a digest, not both; the digest says more.
std::string docker_source(const ImageReference& reference) {
  const std::string name = fmt::format("docker://{}/{}", reference.registry, reference.repository);
  if (!reference.digest.empty()) return name + '@' + reference.digest;
  return name + ':' + reference.tag;
}

}  // namespace

Result<void> copy_with_skopeo(const SkopeoCopy& copy) {
  const std::string name = copy.reference.familiar();
  auto child = start({copy.program, "--override-os", "linux", "copy", "--quiet",
                      docker_source(copy.reference), "oci-archive:" + copy.archive});
  if (!child && child.error().os_error == ENOENT) {
    return failf(
        Code::unsupported,
        "cannot pull {}: skopeo is not installed; install it (apt install skopeo), or load "
        "the image with: tulle image load ARCHIVE",
        name);
  }
  if (!child) return std::move(child).error().context("pulling " + name);

  std::string text;
  const auto ending = wait_for_end(*child, copy.time_max, text);
  if (!ending || *ending == Ending::timed_out) ::kill(-child->pid, SIGKILL);
  int status = 0;
  while (::waitpid(child->pid, &status, 0) < 0) {
    if (errno != EINTR) return os_error(errno, "wait for skopeo");
  }
  read_available(child->errors.get(), text);
  if (!ending) return ending.error();
  if (*ending == Ending::timed_out) {
    return failf(Code::timed_out, "pulling {}: not done after {} seconds", name,
                 std::chrono::duration_cast<std::chrono::seconds>(copy.time_max).count());
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return failf(Code::unavailable, "pulling {}: {}", name,
               text.empty() ? "skopeo failed without a word" : last_words(text));
}

}  // namespace tulle::node
