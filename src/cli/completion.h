// `tulle completion bash|zsh|fish`: scripts that complete commands, options and file names.
#pragma once

#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace tulle::cli {

enum class Shell : std::uint8_t { bash, zsh, fish };

// A script for `shell` made from the commands and options of `app`, the root. Commands and options
// of the empty group stay hidden, as in the help. Values and arguments are completed as file names
// where their name speaks of a file, folder, path, archive or "-dir".
std::string completion_script(const CLI::App& app, Shell shell);

// Adds the subcommand `completion` to `app`, which must be the root. It prints the script for what
// `app` holds when it is parsed, and sets `exit_code` to 0. Both references must outlive `app`.
void add_completion_command(CLI::App& app, int& exit_code);

}  // namespace tulle::cli
