#include "cli/completion.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>
#include <vector>

namespace tulle::cli {

namespace {

enum class Value : std::uint8_t { none, path, text };

struct Option {
  std::vector<std::string> names;  // "--data-dir", "-f"
  std::string description;
  Value value = Value::none;
};

// One command of the tree. `path` is "" for the root and "image load" below it.
struct Command {
  std::string path = {};
  std::string name = {};
  std::string description = {};
  std::vector<Option> options = {};
  std::vector<Command> commands = {};
  bool takes_paths = false;
};

bool names_a_path(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  constexpr std::array<std::string_view, 5> words{"FILE", "FOLDER", "PATH", "ARCHIVE", "-DIR"};
  return std::ranges::any_of(words, [&](std::string_view word) { return text.contains(word); });
}

Option read_option(const CLI::Option& option) {
  Option read{.names = {}, .description = option.get_description()};
  for (const std::string& name : option.get_lnames()) read.names.push_back("--" + name);
  for (const std::string& name : option.get_snames()) read.names.push_back("-" + name);
  if (option.get_items_expected_max() > 0) {
    const bool path = names_a_path(option.get_name(false, true) + option.get_type_name());
    read.value = path ? Value::path : Value::text;
  }
  return read;
}

void read_options(const CLI::App& app, Command& command) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    if (option->get_positional()) {
      if (names_a_path(option->get_name(true) + option->get_type_name()))
        command.takes_paths = true;
    } else {
      command.options.push_back(read_option(*option));
    }
  }
}

// `inherited` are the options of the parent that may also stand behind this command.
Command read_command(const CLI::App& app, const std::string& parent_path,
                     const std::vector<Option>& inherited) {
  Command command{
      .path = parent_path, .name = app.get_name(), .description = app.get_description()};
  if (app.get_parent() != nullptr) {
    command.path += (parent_path.empty() ? "" : " ") + app.get_name();
  }
  read_options(app, command);
  if (app.get_fallthrough()) {
    for (const Option& option : inherited) {
      if (option.names.front() != "--help") command.options.push_back(option);
    }
  }
  for (const CLI::App* child : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (child->get_group().empty() || child->get_name().empty()) continue;
    command.commands.push_back(read_command(*child, command.path, command.options));
  }
  return command;
}

// Calls `visit` for the command and all below it.
template <class Visit>
void for_each(const Command& command, const Visit& visit) {
  visit(command);
  for (const Command& child : command.commands) for_each(child, visit);
}

// 'text' as a word of a POSIX shell, and of fish with its own escape for a quote.
std::string quote(std::string_view text, std::string_view quote_escape = "'\\''") {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += quote_escape;
    } else {
      quoted += c == '\n' ? ' ' : c;
    }
  }
  return quoted + "'";
}

std::string fish_quote(std::string_view text) { return quote(text, "\\'"); }

// The arms of a `case "$at $word"` that walk to a command, and over the values of options.
std::string walk_arms(const Command& root, std::string_view skip) {
  std::string arms;
  for_each(root, [&](const Command& command) {
    for (const Command& child : command.commands) {
      arms += fmt::format("      {}) at={} ;;\n", quote(command.path + " " + child.name),
                          quote(child.path));
    }
    for (const Option& option : command.options) {
      if (option.value == Value::none) continue;
      for (const std::string& name : option.names) {
        arms += fmt::format("      {}) {} ;;\n", quote(command.path + " " + name), skip);
      }
    }
  });
  return arms;
}

// The arms of a `case "$at $previous"` for the values of options.
std::string value_arms(const Command& root, std::string_view complete_path) {
  std::string arms;
  for_each(root, [&](const Command& command) {
    for (const Option& option : command.options) {
      if (option.value == Value::none) continue;
      for (const std::string& name : option.names) {
        arms += fmt::format("    {}) {}return ;;\n", quote(command.path + " " + name),
                            option.value == Value::path ? complete_path : "");
      }
    }
  });
  return arms;
}

std::string joined_names(const std::vector<Option>& options) {
  std::string text;
  for (const Option& option : options) {
    for (const std::string& name : option.names) text += (text.empty() ? "" : " ") + name;
  }
  return text;
}

std::string bash_script(const Command& root) {
  std::string choices;
  for_each(root, [&](const Command& command) {
    std::string names;
    for (const Command& child : command.commands) {
      names += (names.empty() ? "" : " ") + child.name;
    }
    choices += fmt::format("    {}) commands={} options={} paths={} ;;\n", quote(command.path),
                           quote(names), quote(joined_names(command.options)),
                           quote(command.takes_paths ? "yes" : ""));
  });
  return fmt::format(
      R"(# bash completion for {0}. To load it: source <({0} completion bash)
_{0}_paths() {{
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$1")
}}
_{0}() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}"
  local at='' index commands='' options='' paths=''
  COMPREPLY=()
  if [[ $previous == '=' ]]; then
    previous="${{COMP_WORDS[COMP_CWORD-2]}}"
  elif [[ $current == '=' ]]; then
    current=''
  fi
  for ((index = 1; index < COMP_CWORD; ++index)); do
    case "$at ${{COMP_WORDS[index]}}" in
{1}    esac
  done
  case "$at $previous" in
{2}  esac
  case "$at" in
{3}  esac
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
  elif [[ $paths ]]; then
    _{0}_paths "$current"
  else
    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
  fi
}}
complete -F _{0} {0}
)",
      root.name, walk_arms(root, "((++index))"),
      value_arms(root, fmt::format("_{}_paths \"$current\"; ", root.name)), choices);
}

// 'name:description' as zsh's _describe takes it.
std::string zsh_entry(std::string_view name, std::string_view description) {
  return " " + quote(fmt::format("{}:{}", name, description));
}

std::string zsh_script(const Command& root) {
  std::string choices;
  for_each(root, [&](const Command& command) {
    choices += fmt::format("    {})\n      commands=(", quote(command.path));
    for (const Command& child : command.commands) {
      choices += zsh_entry(child.name, child.description);
    }
    choices += " )\n      options=(";
    for (const Option& option : command.options) {
      for (const std::string& name : option.names) choices += zsh_entry(name, option.description);
    }
    choices += fmt::format(" )\n      paths={} ;;\n", quote(command.takes_paths ? "yes" : ""));
  });
  return fmt::format(
      R"(#compdef {0}
# zsh completion for {0}. To load it: source <({0} completion zsh)
_{0}() {{
  local at='' index paths=''
  local -a commands options
  for ((index = 2; index < CURRENT; ++index)); do
    case "$at ${{words[index]}}" in
{1}    esac
  done
  case "$at ${{words[CURRENT-1]}}" in
{2}  esac
  case "$at" in
{3}  esac
  if [[ ${{words[CURRENT]}} == -* ]]; then
    _describe option options
  elif [[ -n $paths ]]; then
    _files
  else
    _describe command commands
  fi
}}
if [[ ${{funcstack[1]}} == _{0} ]]; then _{0} "$@"; else compdef _{0} {0}; fi
)",
      root.name, walk_arms(root, "((++index))"), value_arms(root, "_files; "), choices);
}

std::string fish_option(const Option& option) {
  std::string text;
  for (const std::string& name : option.names) {
    text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  }
  switch (option.value) {
    case Value::none: break;
    case Value::path: text += " -r -F"; break;
    case Value::text: text += " -x"; break;
  }
  return text + " -d " + fish_quote(option.description);
}

std::string fish_script(const Command& root) {
  std::string arms;
  std::string lines;
  for_each(root, [&](const Command& command) {
    const std::string line =
        fmt::format("complete -c {} -n {}", root.name,
                    fish_quote(fmt::format("__{}_at \"{}\"", root.name, command.path)));
    for (const Command& child : command.commands) {
      arms += fmt::format("            case {}\n                set at {}\n",
                          fish_quote(command.path + " " + child.name), fish_quote(child.path));
      lines += fmt::format("{} -a {} -d {}\n", line, child.name, fish_quote(child.description));
    }
    for (const Option& option : command.options) lines += line + fish_option(option) + "\n";
    if (command.takes_paths) lines += line + " -F\n";
  });
  return fmt::format(
      R"(# fish completion for {0}. To load it: {0} completion fish | source
function __{0}_at --description 'Whether the command line has come to this command'
    set -l at ''
    for word in (commandline -opc)[2..-1]
        switch "$at $word"
{1}        end
    end
    test "$at" = "$argv[1]"
end
complete -c {0} -f
{2})",
      root.name, arms, lines);
}

}  // namespace

std::string completion_script(const CLI::App& app, Shell shell) {
  const Command root = read_command(app, "", {});
  switch (shell) {
    case Shell::bash: return bash_script(root);
    case Shell::zsh: return zsh_script(root);
    case Shell::fish: return fish_script(root);
  }
  return {};
}

void add_completion_command(CLI::App& app, int& exit_code) {
  CLI::App* completion =
      app.add_subcommand("completion", "Print a script that completes commands in a shell");
  completion->require_subcommand(1);
  const auto add = [&](const char* name, Shell shell, const std::string& usage) {
    CLI::App* command = completion->add_subcommand(name, "Load it with: " + usage);
    command->callback([&app, &exit_code, shell] {
      std::fputs(completion_script(app, shell).c_str(), stdout);
      exit_code = 0;
    });
  };
  const std::string& root = app.get_name();
  add("bash", Shell::bash, "source <(" + root + " completion bash)");
  add("zsh", Shell::zsh, "source <(" + root + " completion zsh)");
  add("fish", Shell::fish, root + " completion fish | source");
}

}  // namespace tulle::cli
