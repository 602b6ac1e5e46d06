#include "controllers/stateful_set.h"

#include "codec/json.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <string>

namespace tulle::controllers {
namespace {

using namespace std::chrono_literals;

const kube::Time kNow = *kube::parse_time("2030-01-01T00:01:00Z");

json::object set_of(std::int64_t replicas, std::string_view more = "{}") {
  json::object set{{"metadata", {{"name", "db"}, {"generation", 7}}},
                   {"spec", codec::parse_json(more)->as_object()}};
  kube::set_at(set, "spec.replicas", replicas);
  return set;
}

struct PodText {
  std::string name;
  std::string revision = "db-new";
  std::string phase = "Running";
  bool ready = true;
  bool deleting = false;
  std::string ready_since = "2030-01-01T00:00:00Z";
};

std::vector<ObjectPtr> pods(const std::vector<PodText>& texts) {
  std::vector<ObjectPtr> made;
  made.reserve(texts.size());
  for (const PodText& text : texts) {
    json::object pod{
        {"metadata",
         {{"name", text.name}, {"labels", {{"controller-revision-hash", text.revision}}}}},
        {"status",
         {{"phase", text.phase},
          {"conditions", json::array{json::object{{"type", "Ready"},
                                                  {"status", text.ready ? "True" : "False"},
                                                  {"lastTransitionTime", text.ready_since}}}}}}};
    if (text.deleting) kube::set_at(pod, "metadata.deletionTimestamp", "2030-01-01T00:00:00Z");
    made.push_back(std::make_shared<const json::object>(std::move(pod)));
  }
  return made;
}

std::string names_of(const std::vector<ObjectPtr>& list) {
  std::string names;
  for (const ObjectPtr& pod : list) {
    names += pod ? std::string(kube::name_of(*pod)) + " " : std::string("- ");
  }
  return names;
}

TEST(StatefulSet, sorts_its_pods_by_ordinal_and_those_beyond_from_the_highest_down) {
  const auto found = pods({{"db-10"}, {"db-2"}, {"db-0"}, {"db-9"}, {"db-x"}, {"web-1"}});
  const StatefulPods sorted = by_ordinal(set_of(3), found);
  EXPECT_EQ(names_of(sorted.replicas), "db-0 - db-2 ");
  EXPECT_EQ(names_of(sorted.condemned), "db-10 db-9 ");
  const StatefulPods shifted = by_ordinal(set_of(2, R"({"ordinals":{"start":9}})"), found);
  EXPECT_EQ(shifted.first, 9);
  EXPECT_EQ(names_of(shifted.replicas), "db-9 db-10 ");
  EXPECT_EQ(names_of(shifted.condemned), "db-2 db-0 ");
  EXPECT_EQ(names_of(by_ordinal(set_of(0), found).condemned), "db-10 db-9 db-2 db-0 ");
}

TEST(StatefulSet, looks_at_so_many_pods_in_one_go_however_many_are_wanted) {
  const auto found = pods({{"db-0"}, {"db-1000000"}});
  const StatefulPods sorted = by_ordinal(set_of(2'000'000'000), found);
  EXPECT_EQ(sorted.replicas.size(), 2 + replicas_ahead_max);
  EXPECT_TRUE(sorted.condemned.empty());
}

TEST(StatefulSet, counts_its_pods_by_what_they_are_and_completes_a_rollout) {
  struct Row {
    std::string what;
    std::int64_t replicas;
    std::vector<PodText> pods;
    std::string status;  // replicas/ready/available current+updated, and the current revision
    std::string spec = "{}";
  };
  const std::vector<Row> rows = {
      {"none", 0, {}, "0/0/0 0+0 db-new"},
      {"none yet", 2, {}, "0/0/0 0+0 db-old"},
      {"one of two is new", 2, {{"db-0", "db-old"}, {"db-1", "db-new"}}, "2/2/2 1+1 db-old"},
      {"all new, not all ready",
       2,
       {{"db-0"}, {"db-1", "db-new", "Running", false}},
       "2/1/1 0+2 db-old"},
      {"ready before it runs", 1, {{"db-0", "db-new", "Pending", true}}, "1/0/0 0+1 db-old"},
      {"all new and ready", 2, {{"db-0"}, {"db-1"}}, "2/2/2 2+2 db-new"},
      {"one too many", 2, {{"db-0"}, {"db-1"}, {"db-2"}}, "3/3/3 0+3 db-old"},
      {"one told to go", 2, {{"db-0"}, {.name = "db-1", .deleting = true}}, "2/2/2 0+1 db-old"},
      {"updated by hand",
       1,
       {{"db-0"}},
       "1/1/1 0+1 db-old",
       R"({"updateStrategy":{"type":"OnDelete"}})"},
      {"not ready for long enough", 1, {{"db-0"}}, "1/1/0 1+1 db-new", R"({"minReadySeconds":90})"},
  };
  for (const Row& row : rows) {
    Duration again{};
    const json::object status =
        stateful_status(set_of(row.replicas, row.spec), pods(row.pods),
                        {.current = "db-old", .newest = "db-new"}, kNow, again);
    const auto number = [&status](std::string_view field) {
      return kube::integer_at(status, field);
    };
    EXPECT_EQ(fmt::format("{}/{}/{} {}+{} {}", number("replicas"), number("readyReplicas"),
                          number("availableReplicas"), number("currentReplicas"),
                          number("updatedReplicas"), kube::string_at(status, "currentRevision")),
              row.status)
        << row.what;
    EXPECT_EQ(kube::string_at(status, "updateRevision"), "db-new");
    EXPECT_EQ(number("observedGeneration"), 7);
    EXPECT_EQ(again, row.spec.contains("minReady") ? Duration(30s) : Duration{}) << row.what;
  }
}

}  // namespace
}  // namespace tulle::controllers
