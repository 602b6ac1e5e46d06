#include "kube/resources.h"

#include "kube/quota.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <string>

namespace tulle::kube {
namespace {

namespace json = boost::json;

std::string text(const Resources& resources) { return json::serialize(to_json(resources)); }

json::object pod(std::string_view spec) { return {{"spec", json::parse(spec)}}; }

TEST(Resources, a_pod_asks_for_its_containers_or_for_what_it_takes_to_start) {
  struct Row {
    std::string_view spec;
    std::string_view requests;
    std::string_view limits;
  };
  const Row rows[] = {
      {R"({"containers":[{"name":"a"}]})", "{}", "{}"},
      {R"({"containers":[{"resources":{"requests":{"cpu":"100m"},"limits":{"cpu":"1"}}},
                         {"resources":{"requests":{"cpu":"0.2","memory":"1Gi"}}}]})",
       R"({"cpu":"300m","memory":"1Gi"})", R"({"cpu":"1"})"},
      // The largest init container, not their sum.
      {R"({"initContainers":[{"resources":{"requests":{"cpu":"2"}}},
                             {"resources":{"requests":{"cpu":"3"}}}],
           "containers":[{"resources":{"requests":{"cpu":"1"}}}]})",
       R"({"cpu":"3"})", "{}"},
      // A sidecar stays: beside later init containers, and beside the containers.
      {R"({"initContainers":[{"restartPolicy":"Always","resources":{"requests":{"cpu":"1"}}},
                             {"resources":{"requests":{"cpu":"3"}}}],
           "containers":[{"resources":{"requests":{"cpu":"2"}}}]})",
       R"({"cpu":"4"})", "{}"},
      {R"({"initContainers":[{"restartPolicy":"Always","resources":{"requests":{"cpu":"1"}}}],
           "containers":[{"resources":{"requests":{"cpu":"2"}}}]})",
       R"({"cpu":"3"})", "{}"},
      {R"({"overhead":{"cpu":"250m"},"containers":[{"resources":{"requests":{"cpu":"1"}}}]})",
       R"({"cpu":"1250m"})", "{}"},
      {R"({"resources":{"requests":{"cpu":"5"}},
           "containers":[{"resources":{"requests":{"cpu":"1","memory":"1Mi"}}}]})",
       R"({"cpu":"5","memory":"1Mi"})", "{}"},
      // Nobody asks for less by saying so of the pod alone.
      {R"({"resources":{"requests":{"cpu":"1m"}},
           "containers":[{"resources":{"requests":{"cpu":"64"}}}]})",
       R"({"cpu":"64"})", "{}"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(text(pod_requests(pod(row.spec))), row.requests) << row.spec;
    EXPECT_EQ(text(pod_limits(pod(row.spec))), row.limits) << row.spec;
  }
}

TEST(Resources, the_quality_of_service_follows_from_cpu_and_memory) {
  struct Row {
    std::string_view resources;
    std::string_view other;  // of a second container
    std::string_view qos;
  };
  constexpr std::string_view both =
      R"({"requests":{"cpu":"1","memory":"1Gi"},"limits":{"cpu":"1","memory":"1024Mi"}})";
  const Row rows[] = {
      {"{}", "{}", "BestEffort"},
      {R"({"requests":{"example.com/gpu":"1"}})", "{}", "BestEffort"},
      {R"({"requests":{"cpu":"0"}})", "{}", "BestEffort"},
      {R"({"requests":{"cpu":"1"}})", "{}", "Burstable"},
      {R"({"limits":{"cpu":"1"},"requests":{"cpu":"1"}})", "{}", "Burstable"},
      {both, both, "Guaranteed"},
      {both, "{}", "Burstable"},
  };
  for (const Row& row : rows) {
    const json::object object = pod(fmt::format(
        R"({{"containers":[{{"resources":{}}},{{"resources":{}}}]}})", row.resources, row.other));
    EXPECT_EQ(qos_class(object), row.qos) << row.resources;
  }
}

TEST(Quota, every_object_counts_and_some_use_more_than_that) {
  struct Row {
    std::string_view group;
    std::string_view plural;
    std::string_view object;
    std::string_view usage;
  };
  const Row rows[] = {
      {"apps", "deployments", "{}", R"({"count/deployments.apps":"1"})"},
      {"", "secrets", "{}", R"({"count/secrets":"1","secrets":"1"})"},
      {"", "pods",
       R"({"spec":{"containers":[{"resources":{"requests":{"cpu":"1"},"limits":{"cpu":"2"}}}]}})",
       R"({"count/pods":"1","cpu":"1","limits.cpu":"2","pods":"1","requests.cpu":"1"})"},
      {"", "pods", R"({"status":{"phase":"Succeeded"}})", R"({"count/pods":"1"})"},
      {"", "services", R"({"spec":{"type":"NodePort","ports":[{},{}]}})",
       R"({"count/services":"1","services":"1","services.nodeports":"2"})"},
      {"", "services",
       R"({"spec":{"type":"LoadBalancer","allocateLoadBalancerNodePorts":false,"ports":[{}]}})",
       R"({"count/services":"1","services":"1","services.loadbalancers":"1"})"},
      {"", "persistentvolumeclaims",
       R"({"spec":{"storageClassName":"fast","resources":{"requests":{"storage":"1Gi"}}}})",
       R"({"count/persistentvolumeclaims":"1",)"
       R"("fast.storageclass.storage.k8s.io/persistentvolumeclaims":"1",)"
       R"("fast.storageclass.storage.k8s.io/requests.storage":"1Gi",)"
       R"("persistentvolumeclaims":"1","requests.storage":"1Gi"})"},
  };
  for (const Row& row : rows) {
    const json::value object = json::parse(row.object);
    EXPECT_EQ(text(quota_usage(row.group, row.plural, object.get_object())), row.usage)
        << row.object;
  }
}

TEST(Quota, scopes_choose_pods) {
  struct Row {
    std::string_view scope;
    std::string_view spec;
    bool covered;
  };
  constexpr std::string_view plain = R"({"containers":[{}]})";
  constexpr std::string_view job = R"({"activeDeadlineSeconds":5,"containers":[{}]})";
  constexpr std::string_view urgent = R"({"priorityClassName":"urgent","containers":[{}]})";
  const Row rows[] = {
      {R"("scopes":["BestEffort"])", plain, true},
      {R"("scopes":["NotBestEffort"])", plain, false},
      {R"("scopes":["Terminating"])", plain, false},
      {R"("scopes":["Terminating","BestEffort"])", job, true},
      {R"("scopes":["NotTerminating"])", job, false},
      {R"("scopes":["PriorityClass"])", urgent, true},
      {R"("scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"In",
          "values":["urgent"]}]})",
       urgent, true},
      {R"("scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass",
          "operator":"NotIn","values":["urgent"]}]})",
       urgent, false},
      {R"("scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass",
          "operator":"DoesNotExist"}]})",
       plain, true},
  };
  for (const Row& row : rows) {
    const json::value quota = json::parse(fmt::format(R"({{"spec":{{{}}}}})", row.scope));
    EXPECT_EQ(quota_covers(quota.get_object(), "", "pods", pod(row.spec)), row.covered)
        << row.scope << row.spec;
    EXPECT_FALSE(quota_covers(quota.get_object(), "", "services", {})) << row.scope;
  }
}

}  // namespace
}  // namespace tulle::kube
