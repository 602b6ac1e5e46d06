#include "cli/upgrade.h"

#include "cli/instance_socket.h"

#include <filesystem>

namespace tulle::cli {

namespace {

// As another process can open it, wherever that is.
Result<std::string> absolute_path(const std::string& program) {
  std::error_code error;
  const auto path = program.empty() ? std::filesystem::read_symlink("/proc/self/exe", error)
                                    : std::filesystem::absolute(program, error);
  if (error) return fail(Code::internal, "finding the program: " + error.message());
  return path.string();
}

Result<std::string> upgrade(const std::string& data_dir, const std::string& program) {
  TRY(std::string path, absolute_path(program));
  TRY(const std::string version,
      ask_instance(data_dir, {.socket = "run/supervisor.sock",
                              .head = {.method = "POST", .target = "/upgrade"},
                              .body = std::move(path),
                              .response_timeout = {}}));
  return version + " runs\n";
}

}  // namespace

int run_upgrade(const std::string& data_dir, const std::string& program) {
  return print_outcome("upgrade", upgrade(data_dir, program));
}

}  // namespace tulle::cli
