#include "node/log_format.h"
#include "node/log_selection.h"

#include <gtest/gtest.h>

namespace tulle::node {
namespace {

WallTime at(int second) {
  return WallTime(std::chrono::seconds(1'767'323'040 + second) + std::chrono::nanoseconds(7));
}

TEST(LogFormat, lines_are_cut_as_cri_writes_them) {
  LineCutter cutter("stdout");
  std::string out;
  cutter.add("one\ntw", at(1), out);
  cutter.add("o\n\n", at(2), out);
  cutter.add("rest", at(3), out);
  cutter.end(at(4), out);
  EXPECT_EQ(out,
            "2026-01-02T03:04:01.000000007Z stdout F one\n"
            "2026-01-02T03:04:02.000000007Z stdout F two\n"
            "2026-01-02T03:04:02.000000007Z stdout F \n"
            "2026-01-02T03:04:04.000000007Z stdout F rest\n");
}

TEST(LogFormat, a_long_line_goes_out_in_parts) {
  LineCutter cutter("stderr");
  std::string out;
  cutter.add(std::string(kLogLineBytesMax + 3, 'x') + "\n", at(0), out);
  const std::size_t end = out.find('\n');
  const auto first = parse_log_line(std::string_view(out).substr(0, end));
  const auto second = parse_log_line(std::string_view(out).substr(end + 1, out.size() - end - 2));
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(first->full);
  EXPECT_EQ(first->text.size(), kLogLineBytesMax);
  EXPECT_TRUE(second->full);
  EXPECT_EQ(second->text, "xxx");
  EXPECT_EQ(second->stream, "stderr");
}

TEST(LogSelection, gives_what_was_asked_for) {
  const std::string log =
      "2026-01-02T03:04:01.000000000Z stdout F one\n"
      "2026-01-02T03:04:02.000000000Z stderr P tw\n"
      "2026-01-02T03:04:03.000000000Z stderr F o\n"
      "no line of ours\n"
      "2026-01-02T03:04:04.000000000Z stdout F three\n";
  struct Case {
    LogOptions options;
    const char* text;
  };
  const std::vector<Case> cases{
      {{}, "one\ntwo\nthree\n"},
      {{.tail_lines = 0}, ""},
      {{.tail_lines = 1}, "three\n"},
      {{.tail_lines = 2}, "two\nthree\n"},
      {{.tail_lines = 9}, "one\ntwo\nthree\n"},
      {{.limit_bytes = 5}, "one\nt"},
      {{.since = "2026-01-02T03:04:04.000000000Z"}, "three\n"},
      {{.timestamps = true, .tail_lines = 2},
       "2026-01-02T03:04:02.000000000Z two\n2026-01-02T03:04:04.000000000Z three\n"},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    LogSelection selection(cases[i].options);
    EXPECT_EQ(selection.take_first(log), cases[i].text) << i;
  }
}

TEST(LogSelection, a_limit_counts_over_all_that_was_taken) {
  LogSelection selection({.limit_bytes = 6});
  EXPECT_EQ(selection.take_first("t stdout F one\n"), "one\n");
  EXPECT_FALSE(selection.full());
  EXPECT_EQ(selection.take("t stdout F two\n"), "tw");
  EXPECT_TRUE(selection.full());
}

}  // namespace
}  // namespace tulle::node
