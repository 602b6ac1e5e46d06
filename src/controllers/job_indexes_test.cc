#include "controllers/job_indexes.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tulle::controllers {
namespace {

TEST(IndexSet, is_written_as_ranges) {
  struct Row {
    std::vector<std::int64_t> indexes;
    std::string text;
  };
  const std::vector<Row> rows = {
      {{}, ""},
      {{0}, "0"},
      {{1, 0}, "0,1"},
      {{2, 0, 1}, "0-2"},
      {{0, 2, 4, 3, 4}, "0,2-4"},
      {{9, 1, 3, 5, 7}, "1,3,5,7,9"},
      {{5, 1, 6, 3, 2, 4}, "1-6"},
  };
  for (const Row& row : rows) {
    IndexSet set;
    for (const std::int64_t index : row.indexes) set.add(index);
    EXPECT_EQ(set.to_string(), row.text);
    EXPECT_EQ(IndexSet::parse(row.text, 10), set) << row.text;
    for (const std::int64_t index : row.indexes) EXPECT_TRUE(set.contains(index)) << row.text;
    EXPECT_FALSE(set.contains(8)) << row.text;
  }
}

TEST(IndexSet, leaves_out_what_is_beyond_its_end) {
  EXPECT_EQ(IndexSet::parse("0-2,5,8-20,30", 10)->to_string(), "0-2,5,8,9");
  EXPECT_EQ(IndexSet::parse("7-9", 3)->size(), 0);
}

TEST(IndexSet, does_not_take_other_text) {
  for (const std::string text : {",", "1,", ",1", "2-1", "-1", "1-", "3,1", "1,1", "0-4,4", "a",
                                 "1 ", "99999999999999999999"}) {
    EXPECT_FALSE(IndexSet::parse(text, 100)) << text;
  }
}

TEST(IndexSet, counts_what_two_have_in_common) {
  const auto common = [](std::string_view a, std::string_view b) {
    return IndexSet::parse(a, 100)->common(*IndexSet::parse(b, 100));
  };
  EXPECT_EQ(common("0-9", "3-5,8-12"), 5);
  EXPECT_EQ(common("3-5,8-12", "0-9"), 5);
  EXPECT_EQ(common("1,3,5", "0,2,4"), 0);
  EXPECT_EQ(common("", "0-4"), 0);
}

}  // namespace
}  // namespace tulle::controllers
