#include "controllers/stateful_pod.h"

#include "codec/json.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <string>

namespace tulle::controllers {
namespace {

json::object parsed(std::string_view text) { return codec::parse_json(text)->as_object(); }

json::object database() {
  return parsed(R"({"apiVersion":"apps/v1","kind":"StatefulSet",
    "metadata":{"name":"db","namespace":"shop","uid":"set"},
    "spec":{"serviceName":"dbs","selector":{"matchLabels":{"app":"db"}},
      "template":{"metadata":{"labels":{"app":"db","tier":"b"}},
                  "spec":{"containers":[],"volumes":[{"name":"data","emptyDir":{}},
                                                     {"name":"tmp","emptyDir":{}}]}},
      "volumeClaimTemplates":[{"metadata":{"name":"data","labels":{"l":"m"}},
                               "spec":{"accessModes":["ReadWriteOnce"]},
                               "status":{"phase":"Pending"}}]}})");
}

TEST(StatefulPod, an_ordinal_is_what_follows_the_name_of_the_set) {
  const json::object set = database();
  EXPECT_EQ(pod_name(set, 12), "db-12");
  EXPECT_EQ(ordinal_in("db-12", set), 12);
  EXPECT_EQ(ordinal_in("db-0", set), 0);
  for (const std::string_view other : {"db", "db-", "db-x", "db-07", "db-1x", "db--1", "web-1",
                                       "db-a-1", "db-99999999999999999999"}) {
    EXPECT_EQ(ordinal_in(other, set), std::nullopt) << other;
  }
}

TEST(StatefulPod, has_its_name_its_number_and_its_claims) {
  const json::object set = database();
  const json::object pod = stateful_pod(set, kube::object_at(set, "spec.template"), "db-5d9f", 2);
  EXPECT_EQ(pod, parsed(R"({"apiVersion":"v1","kind":"Pod",
    "metadata":{"name":"db-2","namespace":"shop",
      "labels":{"app":"db","tier":"b","statefulset.kubernetes.io/pod-name":"db-2",
                "apps.kubernetes.io/pod-index":"2","controller-revision-hash":"db-5d9f"},
      "ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"db","uid":"set",
                          "controller":true,"blockOwnerDeletion":true}]},
    "spec":{"hostname":"db-2","subdomain":"dbs","containers":[],
      "volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"data-db-2"}},
                 {"name":"tmp","emptyDir":{}}]}})"));
}

TEST(StatefulPod, claims_are_named_by_template_and_pod) {
  const auto claims = claims_of(database(), 2);
  ASSERT_EQ(claims.size(), 1U);
  EXPECT_EQ(claims[0], parsed(R"({"metadata":{"name":"data-db-2","namespace":"shop",
    "labels":{"l":"m","app":"db"}},"spec":{"accessModes":["ReadWriteOnce"]}})"));
}

TEST(StatefulPod, a_claim_goes_with_whom_the_retention_policy_says) {
  struct Row {
    std::string_view policy;
    bool condemned;
    std::string_view before;  // who owns it
    std::string_view after;
  };
  const std::string_view keep = R"({"whenDeleted":"Retain","whenScaled":"Retain"})";
  const std::string_view with_set = R"({"whenDeleted":"Delete","whenScaled":"Retain"})";
  const std::string_view with_pod = R"({"whenDeleted":"Retain","whenScaled":"Delete"})";
  const std::string_view with_both = R"({"whenDeleted":"Delete","whenScaled":"Delete"})";
  const std::vector<Row> rows = {
      {keep, false, "", ""},
      {keep, true, "pod", ""},
      {keep, false, "set other", "other "},
      {with_set, false, "other", "other set "},
      {with_set, true, "set", "set "},
      {with_pod, false, "pod", ""},
      {with_pod, true, "set", "pod "},
      {with_both, false, "pod", "set "},
      {with_both, true, "set", "pod "},
  };
  const json::object pod =
      parsed(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"db-2","uid":"pod"}})");
  for (const Row& row : rows) {
    json::object set = database();
    kube::set_at(set, "spec.persistentVolumeClaimRetentionPolicy", *codec::parse_json(row.policy));
    json::object claim;
    json::array& references = kube::ensure_array(claim, "metadata.ownerReferences");
    for (const std::string_view owner : {"set", "pod", "other"}) {
      if (row.before.contains(owner)) references.push_back({{"uid", owner}});
    }
    std::string after;
    for (const auto& reference :
         claim_owner_references(claim, {.set = set, .pod = &pod, .condemned = row.condemned})) {
      after += std::string(kube::string_at(kube::object_or_empty(reference), "uid")) + " ";
    }
    EXPECT_EQ(after, row.after) << row.policy << " condemned: " << row.condemned;
  }
}

TEST(StatefulPod, waits_for_claims_that_go_with_an_earlier_pod_of_its_name) {
  const auto owned_by = [](std::string_view kind, std::string_view name) {
    return json::object{
        {"metadata", {{"ownerReferences", json::array{{{"kind", kind}, {"name", name}}}}}}};
  };
  EXPECT_TRUE(goes_with_earlier_pod(owned_by("Pod", "db-2"), "db-2"));
  EXPECT_FALSE(goes_with_earlier_pod(owned_by("StatefulSet", "db-2"), "db-2"));
  EXPECT_FALSE(goes_with_earlier_pod(owned_by("Pod", "db-1"), "db-2"));
  EXPECT_FALSE(goes_with_earlier_pod({}, "db-2"));
}

}  // namespace
}  // namespace tulle::controllers
