#include "node/container_command.h"

#include "node/image_files.h"

#include <fmt/format.h>

#include <unistd.h>
#include <charconv>
#include <csignal>

namespace tulle::node {

namespace {

constexpr std::uint64_t kPidFileBytesMax = 64;

// A child that nobody waits for would stay in the table of processes.
rt::Task<void> reap(std::unique_ptr<rt::Process> process) { (void)co_await process->exited(); }

}  // namespace

Result<std::unique_ptr<ContainerCommand>> ContainerCommand::start(Node& node,
                                                                  CommandOptions options) {
  const std::string directory = node.options.data_dir + "/run/exec";
  TRY_VOID(make_directories(directory, 0700));
  std::string pid_file = fmt::format("{}/{}.{}", directory, ::getpid(), node.next_command++);
  TRY(auto process,
      rt::Process::spawn(node.loop, node.driver,
                         {.arguments = node.runtime.exec(options.container_id, pid_file,
                                                         options.tty, options.arguments),
                          .descriptors = std::move(options.descriptors),
                          .own_process_group = true}));
  return std::unique_ptr<ContainerCommand>(
      new ContainerCommand(node, std::move(process), std::move(pid_file)));
}

ContainerCommand::~ContainerCommand() {
  if (!ended_) {
    // The runtime hands on no SIGKILL, so its child gets one of its own.
    const auto text = read_small_file(pid_file_, kPidFileBytesMax);
    int pid = 0;
    if (text) std::from_chars(text->data(), text->data() + text->size(), pid);
    if (pid > 0) ::kill(pid, SIGKILL);
    (void)process_->signal(SIGKILL).has_value();
    node_.background.spawn(reap(std::move(process_)));
  }
  ::unlink(pid_file_.c_str());
}

rt::Task<Result<rt::ExitStatus>> ContainerCommand::exited() {
  auto status = co_await process_->exited();
  ended_ = true;
  co_return status;
}

void ContainerCommand::signal_runtime(int number) {
  if (!ended_) (void)process_->signal(number).has_value();
}

}  // namespace tulle::node
