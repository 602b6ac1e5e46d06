#include "node/runtime.h"

#include "base/format.h"
#include "codec/json.h"
#include "kube/object.h"
#include "node/agent.h"

#include <boost/json.hpp>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

extern char** environ;

namespace tulle::node {

namespace {

// Whether `program --version` can be run.
bool works(const std::string& program) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  for (int standard = 0; standard <= 2; ++standard) {
    ::posix_spawn_file_actions_addopen(&actions, standard, "/dev/null", O_RDWR, 0);
  }
  std::string name = program;
  std::string argument = "--version";
  char* arguments[] = {name.data(), argument.data(), nullptr};
  pid_t pid = 0;
  const int failed = ::posix_spawnp(&pid, program.c_str(), &actions, nullptr, arguments, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return false;
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

Result<std::string> find_runtime() {
  for (const char* program : {"crun", "runc"}) {
    if (works(program)) return std::string(program);
  }
  return fail(Code::unavailable,
              "no container runtime works here: neither crun nor runc could be run; install one "
              "of them (for example: apt install runc)");
}

std::vector<std::string> Runtime::command(std::vector<std::string> rest) const {
  std::vector<std::string> all{program_, "--root", root_};
  all.insert(all.end(), std::make_move_iterator(rest.begin()), std::make_move_iterator(rest.end()));
  return all;
}

std::vector<std::string> Runtime::run(const RuntimeRun& what) const {
  std::vector<std::string> all =
      command({"--log", what.log, "--log-format", "json", "run", "--detach", "--bundle",
               what.bundle, "--pid-file", what.pid_file});
  if (!what.console_socket.empty()) {
    all.insert(all.end(), {"--console-socket", what.console_socket});
  }
  all.push_back(what.id);
  return all;
}

std::vector<std::string> Runtime::remove(const std::string& id) const {
  return command({"delete", "--force", id});
}

std::vector<std::string> Runtime::exec(const std::string& id, const std::string& pid_file, bool tty,
                                       const std::vector<std::string>& arguments) const {
  std::vector<std::string> all = command({"exec", "--pid-file", pid_file});
  if (tty) all.emplace_back("--tty");
  all.push_back(id);
  all.insert(all.end(), arguments.begin(), arguments.end());
  return all;
}

std::string last_log_message(const std::string& log_text) {
  std::string message;
  for (std::size_t begin = 0; begin < log_text.size();) {
    const std::size_t end = std::min(log_text.find('\n', begin), log_text.size());
    const auto line = codec::parse_json(std::string_view(log_text).substr(begin, end - begin));
    if (line) {
      const auto said = kube::string_at(kube::object_or_empty(*line), "msg");
      if (!said.empty()) message = said;
    }
    begin = end + 1;
  }
  return message;
}

}  // namespace tulle::node
