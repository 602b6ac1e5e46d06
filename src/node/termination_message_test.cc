#include "node/termination_message.h"

#include "node/image_test_directory.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tulle::node {
namespace {

class TerminationMessage : public testing::Test {
 protected:
  std::string of(std::string_view policy, int code) const {
    const boost::json::object container{{"terminationMessagePolicy", policy}};
    ContainerEnd end;
    end.code = code;
    return termination_message(place, container, end);
  }
  void write(const std::string& path, std::string_view text) const {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }

  TestDirectory temporary;
  RunPlace place{
      .pod = {.data_dir = temporary / "data", .namespace_ = "n", .name = "p", .uid = "u"},
      .container = "c",
      .number = 0};
};

TEST_F(TerminationMessage, the_file_goes_before_the_log_of_a_failure) {
  std::string log;
  for (int i = 0; i < 100; ++i) {
    log += "2026-01-02T15:04:05.000000000Z stderr F line " + std::to_string(i) + "\n";
  }
  write(place.log(), log);
  EXPECT_EQ(of("File", 1), "");
  EXPECT_EQ(of("FallbackToLogsOnError", 0), "");
  const std::string from_log = of("FallbackToLogsOnError", 1);
  EXPECT_TRUE(from_log.starts_with("line 20\n"));
  EXPECT_TRUE(from_log.ends_with("line 99\n"));
  write(place.message(), "why");
  EXPECT_EQ(of("FallbackToLogsOnError", 1), "why");
  EXPECT_EQ(of("File", 0), "why");
}

TEST_F(TerminationMessage, only_the_end_is_kept_and_it_is_text) {
  write(place.message(), std::string(5000, 'a') + "end");
  EXPECT_EQ(of("File", 0).size(), kTerminationMessageBytesMax);
  EXPECT_TRUE(of("File", 0).ends_with("aend"));
  write(place.message(), std::string("\xa9 caf\xc3\xa9"));
  EXPECT_EQ(of("File", 0), " caf\xc3\xa9");
  write(place.message(), std::string("bad \xff byte"));
  EXPECT_EQ(of("File", 0), "bad ? byte");
  write(place.log(), "2026-01-02T15:04:05.000000000Z stderr F " + std::string(3000, 'b') + "\n");
  write(place.message(), "");
  EXPECT_EQ(of("FallbackToLogsOnError", 1).size(), kTerminationLogBytesMax);
}

}  // namespace
}  // namespace tulle::node
