#include "cli/completion.h"

#include "rt/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace tulle::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

// A tree with everything that the scripts look at.
class Completion : public testing::Test {
 protected:
  Completion() {
    app_.add_flag("-v,--verbose", verbose_, "say more");
    CLI::App* up = app_.add_subcommand("up", "Start, and don't stop");
    up->add_option("-f,--filename", files_, "manifests")->type_name("FILE|FOLDER");
    up->add_option("--api-port", port_, "a port");
    CLI::App* image = app_.add_subcommand("image", "Images");
    image->add_option("--data-dir", text_, "where");
    CLI::App* load = image->add_subcommand("load", "Load one");
    load->add_option("ARCHIVE", text_, "what to load");
    load->fallthrough();
    image->add_subcommand("ls", "List them");
    app_.add_subcommand("control", "A part")->group("");
    add_completion_command(app_, exit_code_);
  }

  CLI::App app_{"A program", "tulle"};
  int exit_code_ = -1;

 private:
  bool verbose_ = false;
  int port_ = 0;
  std::string text_;
  std::vector<std::string> files_;
};

std::string run(std::vector<std::string> arguments) {
  auto driver = rt::EpollDriver::create();
  rt::Loop loop(*driver);
  const auto output = loop.run(rt::run_command(loop, *driver, {.arguments = std::move(arguments)}));
  if (!output) return output.error().message;
  return output->output + output->errors + (output->status.success() ? "" : "failed\n");
}

// What bash offers for the last of `words`, one a line.
std::string complete(const std::string& script, const std::string& words) {
  return run({"bash", "--norc", "-c",
              script + "\nCOMP_WORDS=(" + words +
                  ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_tulle\n"
                  "for reply in \"${COMPREPLY[@]}\"; do echo \"$reply\"; done"});
}

TEST_F(Completion, bash_finds_no_fault_with_the_script) {
  EXPECT_EQ(run({"bash", "-n", "-c", completion_script(app_, Shell::bash)}), "");
}

TEST_F(Completion, bash_offers_commands_and_options_where_they_may_stand) {
  const std::string script = completion_script(app_, Shell::bash);
  const struct {
    std::string words;
    std::string offered;
  } rows[] = {
      {"tulle ''", "up\nimage\ncompletion\n"},
      {"tulle i", "image\n"},
      {"tulle --verbose i", "image\n"},
      {"tulle con", ""},
      {"tulle --v", "--verbose\n"},
      {"tulle image ''", "load\nls\n"},
      {"tulle image l", "load\nls\n"},
      {"tulle image --data-dir ls lo", "load\n"},
      {"tulle image load --d", "--data-dir\n"},
      {"tulle image ls --d", ""},
      {"tulle up --api-port ''", ""},
      {"tulle up --api-port 1 --f", "--filename\n"},
      {"tulle completion ''", "bash\nzsh\nfish\n"},
      {"tulle nonsense i", "image\n"},
  };
  for (const auto& row : rows) EXPECT_EQ(complete(script, row.words), row.offered) << row.words;
}

TEST_F(Completion, bash_offers_files_where_a_path_is_due) {
  const std::string script = completion_script(app_, Shell::bash);
  for (const std::string before : {"tulle up -f", "tulle up --filename =", "tulle image load",
                                   "tulle image --data-dir", "tulle image load --data-dir"}) {
    EXPECT_EQ(complete(script, before + " /proc/self/mountin"), "/proc/self/mountinfo\n") << before;
  }
}

TEST_F(Completion, zsh_and_fish_get_the_same_tree) {
  const std::string zsh = completion_script(app_, Shell::zsh);
  EXPECT_THAT(zsh, HasSubstr(R"('up:Start, and don'\''t stop' 'image:Images')"));
  EXPECT_THAT(zsh, HasSubstr("'up --api-port') ((++index)) ;;"));
  EXPECT_THAT(zsh, HasSubstr("'up -f') _files; return ;;"));
  EXPECT_THAT(zsh, Not(HasSubstr("control")));
  const std::string fish = completion_script(app_, Shell::fish);
  EXPECT_THAT(fish, HasSubstr(R"(complete -c tulle -n '__tulle_at ""' -a up -d 'Start, and don\'t)"
                              " stop'\n"));
  EXPECT_THAT(fish, HasSubstr(R"(complete -c tulle -n '__tulle_at "up"' -l filename -s f -r -F)"));
  EXPECT_THAT(fish, HasSubstr(R"(complete -c tulle -n '__tulle_at "image load"' -F)"));
  EXPECT_THAT(fish, Not(HasSubstr("control")));
}

TEST_F(Completion, the_command_prints_the_script) {
  testing::internal::CaptureStdout();
  app_.parse("completion bash", false);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), completion_script(app_, Shell::bash));
  EXPECT_EQ(exit_code_, 0);
}

}  // namespace
}  // namespace tulle::cli
