#include "controllers/volume_binding.h"

#include "codec/json.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tulle::controllers {
namespace {

json::object parse(std::string_view text) { return codec::parse_json(text).value().as_object(); }

ObjectPtr share(json::object object) {
  return std::make_shared<const json::object>(std::move(object));
}

// A claim in namespace n with the uid u-c; `spec` adds to it.
json::object claim(std::string_view spec = "{}") {
  json::object made = parse(R"({"kind":"PersistentVolumeClaim","metadata":{"name":"c",
      "namespace":"n","uid":"u-c","resourceVersion":"7"},"spec":{"accessModes":["ReadWriteOnce"],
      "storageClassName":"fast","resources":{"requests":{"storage":"5Gi"}}}})");
  for (const auto& member : parse(spec)) made["spec"].as_object()[member.key()] = member.value();
  return made;
}

json::object volume(std::string_view name, std::string_view spec = "{}") {
  json::object made = parse(R"({"kind":"PersistentVolume","metadata":{"labels":{"disk":"ssd"}},
      "spec":{"accessModes":["ReadWriteOnce","ReadOnlyMany"],"storageClassName":"fast",
      "capacity":{"storage":"10Gi"}}})");
  made["metadata"].as_object()["name"] = name;
  for (const auto& member : parse(spec)) made["spec"].as_object()[member.key()] = member.value();
  return made;
}

std::string chosen(const json::object& for_claim, const std::vector<ObjectPtr>& volumes) {
  const ObjectPtr found = volume_for(for_claim, volumes);
  return found ? std::string(kube::name_of(*found)) : "none";
}

TEST(VolumeBinding, a_claim_gets_what_fits_it) {
  struct Case {
    const char* claim;
    const char* volume;
    bool fits;
  };
  for (const Case& each : {
           Case{"{}", "{}", true},
           Case{"{}", R"({"capacity":{"storage":"5Gi"}})", true},
           Case{"{}", R"({"capacity":{"storage":"5120M"}})", false},
           Case{"{}", R"({"storageClassName":"slow"})", false},
           Case{R"({"storageClassName":""})", R"({"storageClassName":""})", true},
           Case{R"({"accessModes":["ReadWriteOnce","ReadOnlyMany"]})", "{}", true},
           Case{R"({"accessModes":["ReadWriteMany"]})", "{}", false},
           Case{R"({"volumeMode":"Block"})", "{}", false},
           Case{R"({"selector":{"matchLabels":{"disk":"ssd"}}})", "{}", true},
           Case{R"({"selector":{"matchLabels":{"disk":"rust"}}})", "{}", false},
           Case{R"({"volumeName":"v"})", "{}", true},
           Case{R"({"volumeName":"other"})", "{}", false},
           Case{"{}", R"({"claimRef":{"namespace":"n","name":"c"}})", true},
           Case{"{}", R"({"claimRef":{"namespace":"n","name":"c","uid":"u-c"}})", true},
           Case{"{}", R"({"claimRef":{"namespace":"n","name":"c","uid":"u-old"}})", false},
           Case{"{}", R"({"claimRef":{"namespace":"m","name":"c"}})", false},
       }) {
    EXPECT_EQ(chosen(claim(each.claim), {share(volume("v", each.volume))}),
              each.fits ? "v" : "none")
        << each.claim << each.volume;
  }
}

TEST(VolumeBinding, a_promised_volume_goes_before_the_smallest) {
  const ObjectPtr large = share(volume("large", R"({"capacity":{"storage":"20Gi"}})"));
  const ObjectPtr small = share(volume("small", R"({"capacity":{"storage":"6Gi"}})"));
  const ObjectPtr promised = share(volume(
      "promised", R"({"capacity":{"storage":"50Gi"},"claimRef":{"namespace":"n","name":"c"}})"));
  EXPECT_EQ(chosen(claim(), {large, small}), "small");
  EXPECT_EQ(chosen(claim(), {small, promised, large}), "promised");
  json::object going = *small;
  kube::set_at(going, "metadata.deletionTimestamp", "2030-01-01T00:00:00Z");
  EXPECT_EQ(chosen(claim(), {large, share(going)}), "large");
}

TEST(VolumeBinding, what_is_provisioned_belongs_to_its_claim) {
  const json::object wanted = claim();
  const json::object storage_class =
      parse(R"({"metadata":{"name":"fast"},"reclaimPolicy":"Retain"})");
  const json::object made = provision(wanted, storage_class, "/data/volumes");
  EXPECT_EQ(kube::name_of(made), "pvc-u-c");
  EXPECT_EQ(kube::string_at(made, "spec.hostPath.path"), "/data/volumes/pvc-u-c");
  EXPECT_EQ(kube::string_at(made, "spec.persistentVolumeReclaimPolicy"), "Retain");
  EXPECT_EQ(kube::string_at(made, "spec.capacity.storage"), "5Gi");
  EXPECT_TRUE(is_claimed_by(made, wanted));
  EXPECT_EQ(chosen(wanted, {share(made)}), "pvc-u-c");
}

TEST(VolumeBinding, both_sides_name_each_other) {
  const json::object free_volume = volume("v");
  const json::object bound = bound_volume(free_volume, claim());
  EXPECT_EQ(kube::string_at(bound, "spec.claimRef.uid"), "u-c");
  EXPECT_EQ(bound_volume(bound, claim()), bound);
  const json::object bound_to = bound_claim(claim(), bound);
  EXPECT_EQ(kube::string_at(bound_to, "spec.volumeName"), "v");
  EXPECT_EQ(bound_claim(bound_to, bound), bound_to);
  const json::object status = bound_status(bound_to, bound);
  EXPECT_EQ(kube::string_at(status, "phase"), "Bound");
  EXPECT_EQ(kube::string_at(status, "capacity.storage"), "10Gi");
}

TEST(VolumeBinding, the_phase_of_a_volume_is_that_of_its_claim) {
  struct Case {
    const char* volume;
    const char* claim;  // empty: there is none
    const char* phase;
  };
  const char* const by_uid = R"({"claimRef":{"namespace":"n","name":"c","uid":"u-c"}})";
  for (const Case& each : {
           Case{"{}", "", "Available"},
           Case{R"({"claimRef":{"namespace":"n","name":"c"}})", "", "Available"},
           Case{by_uid, "{}", "Available"},
           Case{by_uid, R"({"volumeName":"v"})", "Bound"},
           Case{by_uid, "", "Released"},
           Case{R"({"claimRef":{"namespace":"n","name":"c","uid":"u-old"}})",
                R"({"volumeName":"v"})", "Released"},
       }) {
    const ObjectPtr of = *each.claim == '\0' ? ObjectPtr() : share(claim(each.claim));
    EXPECT_EQ(volume_phase(volume("v", each.volume), of), each.phase) << each.volume;
  }
}

TEST(VolumeBinding, an_ephemeral_volume_has_a_claim_of_its_own) {
  const json::object pod = parse(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p",
      "namespace":"n","uid":"u-p"},"spec":{"volumes":[{"name":"a","emptyDir":{}},
      {"name":"b","persistentVolumeClaim":{"claimName":"c"}},
      {"name":"own","ephemeral":{"volumeClaimTemplate":{"metadata":{"labels":{"l":"1"}},
      "spec":{"accessModes":["ReadWriteOnce"]}}}}]}})");
  EXPECT_EQ(claims_of(pod), (std::vector<std::string>{"c", "p-own"}));
  const auto claims = ephemeral_claims_of(pod);
  ASSERT_EQ(claims.size(), 1U);
  EXPECT_EQ(kube::name_of(claims[0]), "p-own");
  EXPECT_EQ(kube::label_of(claims[0], "l"), "1");
  EXPECT_TRUE(kube::is_controlled_by(claims[0], "u-p"));
  EXPECT_EQ(kube::array_at(claims[0], "spec.accessModes").size(), 1U);
}

TEST(VolumeBinding, saying_nothing_of_a_class_is_not_saying_none) {
  json::object silent = claim();
  kube::remove_at(silent, "spec.storageClassName");
  EXPECT_TRUE(names_no_class(silent));
  EXPECT_FALSE(names_no_class(claim(R"({"storageClassName":""})")));
  kube::set_annotation(silent, "volume.beta.kubernetes.io/storage-class", "old");
  EXPECT_FALSE(names_no_class(silent));
  EXPECT_EQ(class_of(silent), "old");
}

}  // namespace
}  // namespace tulle::controllers
