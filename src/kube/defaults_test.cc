#include "kube/defaults.h"

#include "kube/object.h"
#include "kube/prune.h"
#include "kube/scheme.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <algorithm>

namespace tulle::kube {
namespace {

class Defaults : public testing::Test {
 protected:
  void SetUp() override { scheme_ = make_builtin_scheme().value(); }

  json::value defaulted(std::string_view text) {
    json::value document = json::parse(text);
    const json::object& object = document.get_object();
    const Schema* schema = scheme_->find_schema(api_version_of(object), kind_of(object));
    EXPECT_TRUE(prune(*schema, document).empty());
    apply_defaults(*schema, document);
    json::value again = document;
    apply_defaults(*schema, again);
    EXPECT_EQ(again, document) << "not idempotent";
    return document;
  }

  void expect(std::string_view given, std::string_view wanted) {
    json::value actual = defaulted(given);
    EXPECT_EQ(actual, json::parse(wanted)) << json::serialize(actual);
  }

  std::unique_ptr<Scheme> scheme_;
};

TEST_F(Defaults, a_job_finds_its_pods_by_its_uid) {
  expect(R"({"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"sum","uid":"u1"},
    "spec":{"template":{"metadata":{"labels":{"app":"sum"}},"spec":{"containers":[]}}}})",
         R"({"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"sum","uid":"u1",
      "labels":{"app":"sum"}},
    "spec":{"parallelism":1,"completions":1,"backoffLimit":6,"completionMode":"NonIndexed",
      "suspend":false,"manualSelector":false,"podReplacementPolicy":"TerminatingOrFailed",
      "selector":{"matchLabels":{"batch.kubernetes.io/controller-uid":"u1"}},
      "template":{"metadata":{"labels":{"app":"sum","batch.kubernetes.io/controller-uid":"u1",
        "batch.kubernetes.io/job-name":"sum","controller-uid":"u1","job-name":"sum"}},
        "spec":{"containers":[],"restartPolicy":"Always","terminationGracePeriodSeconds":30,
          "dnsPolicy":"ClusterFirst","securityContext":{},
          "schedulerName":"default-scheduler"}}},"status":{}})");
}

TEST_F(Defaults, a_job_is_whole_at_once_however_little_its_template_says) {
  const json::value job = defaulted(R"({"apiVersion":"batch/v1","kind":"Job",
    "metadata":{"name":"sum","uid":"u1"},"spec":{"template":{"spec":{"containers":[]}}}})");
  EXPECT_EQ(job.at_pointer("/spec/template/metadata/labels/job-name"), "sum");
  // Its template must not change with the next write.
  EXPECT_EQ(defaulted(json::serialize(job)), job);
}

TEST_F(Defaults, a_job_may_choose_its_own_pods) {
  const json::value job = defaulted(R"({"apiVersion":"batch/v1","kind":"Job",
    "metadata":{"name":"sum","uid":"u1"},"spec":{"manualSelector":true,"parallelism":2,
    "selector":{"matchLabels":{"app":"sum"}},
    "template":{"metadata":{"labels":{"app":"sum"}},"spec":{"containers":[]}}}})");
  EXPECT_EQ(job.at_pointer("/spec/selector"), json::parse(R"({"matchLabels":{"app":"sum"}})"));
  EXPECT_EQ(job.at_pointer("/spec/template/metadata/labels"), json::parse(R"({"app":"sum"})"));
  EXPECT_FALSE(job.at("spec").as_object().contains("completions"));
}

TEST_F(Defaults, an_autoscaler_grows_and_shrinks_as_upstreams_do) {
  const json::value given = defaulted(R"({"apiVersion":"autoscaling/v2",
    "kind":"HorizontalPodAutoscaler","metadata":{"name":"web"},"spec":{"maxReplicas":5,
    "behavior":{"scaleDown":{"stabilizationWindowSeconds":60}}}})");
  EXPECT_EQ(given.at("spec"), json::parse(R"({"maxReplicas":5,"minReplicas":1,
    "metrics":[{"type":"Resource","resource":{"name":"cpu",
      "target":{"type":"Utilization","averageUtilization":80}}}],
    "behavior":{"scaleUp":{"stabilizationWindowSeconds":0,"selectPolicy":"Max","policies":[
      {"type":"Pods","value":4,"periodSeconds":15},
      {"type":"Percent","value":100,"periodSeconds":15}]},
    "scaleDown":{"stabilizationWindowSeconds":60,"selectPolicy":"Max","policies":[
      {"type":"Percent","value":100,"periodSeconds":15}]}}})"));
}

TEST_F(Defaults, a_minimal_deployment_becomes_what_upstream_makes_of_it) {
  expect(R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"hello"},
    "spec":{"selector":{"matchLabels":{"app":"hello"}},"template":{
      "metadata":{"labels":{"app":"hello"}},
      "spec":{"containers":[{"name":"hello","image":"hello:latest",
        "ports":[{"containerPort":8080}],
        "readinessProbe":{"httpGet":{"port":8080}}}]}}}})",
         R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"hello"},
    "spec":{"replicas":1,"revisionHistoryLimit":10,"progressDeadlineSeconds":600,
      "strategy":{"type":"RollingUpdate",
        "rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"}},
      "selector":{"matchLabels":{"app":"hello"}},"template":{
      "metadata":{"labels":{"app":"hello"}},
      "spec":{"restartPolicy":"Always","terminationGracePeriodSeconds":30,
        "dnsPolicy":"ClusterFirst","securityContext":{},"schedulerName":"default-scheduler",
        "containers":[{"name":"hello","image":"hello:latest","imagePullPolicy":"Always",
        "resources":{},"terminationMessagePath":"/dev/termination-log",
        "terminationMessagePolicy":"File",
        "ports":[{"containerPort":8080,"protocol":"TCP"}],
        "readinessProbe":{"httpGet":{"port":8080,"path":"/","scheme":"HTTP"},
          "timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3}}]}}},
    "status":{}})");
}

TEST_F(Defaults, a_minimal_service_becomes_what_upstream_makes_of_it) {
  expect(R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"hello"},
    "spec":{"selector":{"app":"hello"},"ports":[{"port":80}]}})",
         R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"hello"},
    "spec":{"selector":{"app":"hello"},"type":"ClusterIP","sessionAffinity":"None",
      "internalTrafficPolicy":"Cluster","ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack",
      "ports":[{"port":80,"protocol":"TCP","targetPort":80}]},
    "status":{"loadBalancer":{}}})");
}

TEST_F(Defaults, an_ingress_gets_nothing_but_an_empty_status) {
  expect(R"({"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"i"},
    "spec":{"defaultBackend":{"service":{"name":"x","port":{"number":80}}}}})",
         R"({"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"i"},
    "spec":{"defaultBackend":{"service":{"name":"x","port":{"number":80}}}},
    "status":{"loadBalancer":{}}})");
}

TEST_F(Defaults, conditional_defaults_follow_their_sibling_fields) {
  struct Row {
    std::string_view given;
    std::string_view path;
    std::string_view wanted;  // JSON; "" for absent
  };
  constexpr Row rows[] = {
      {R"({"apiVersion":"v1","kind":"Service","spec":{"type":"LoadBalancer"}})",
       "spec.externalTrafficPolicy", R"("Cluster")"},
      {R"({"apiVersion":"v1","kind":"Service","spec":{"type":"LoadBalancer"}})",
       "spec.allocateLoadBalancerNodePorts", "true"},
      {R"({"apiVersion":"v1","kind":"Service","spec":{"type":"ExternalName"}})",
       "spec.internalTrafficPolicy", ""},
      {R"({"apiVersion":"v1","kind":"Service","spec":{"clusterIP":"None"}})", "spec.clusterIPs",
       R"(["None"])"},
      {R"({"apiVersion":"v1","kind":"Service","spec":{"sessionAffinity":"ClientIP"}})",
       "spec.sessionAffinityConfig.clientIP.timeoutSeconds", "10800"},
      {R"({"apiVersion":"apps/v1","kind":"Deployment","spec":{"strategy":{"type":"Recreate"}}})",
       "spec.strategy", R"({"type":"Recreate"})"},
      {R"({"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"a:1.2"}]}})",
       "spec.containers.0.imagePullPolicy", R"("IfNotPresent")"},
      {R"({"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"host:5000/a"}]}})",
       "spec.containers.0.imagePullPolicy", R"("Always")"},
      {R"({"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"a@sha256:0"}]}})",
       "spec.containers.0.imagePullPolicy", R"("IfNotPresent")"},
      {R"({"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"resources":
          {"limits":{"cpu":1,"memory":"1024Mi"},"requests":{"cpu":"500m"}}}]}})",
       "spec.containers.0.resources",
       R"({"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"500m","memory":"1Gi"}})"},
      {R"({"apiVersion":"v1","kind":"Pod","spec":{"hostNetwork":true,
          "containers":[{"ports":[{"containerPort":80}]}]}})",
       "spec.containers.0.ports.0.hostPort", "80"},
      {R"({"apiVersion":"v1","kind":"Pod","spec":{"serviceAccount":"robot"}})",
       "spec.serviceAccountName", R"("robot")"},
      {R"({"apiVersion":"v1","kind":"Pod","spec":{"serviceAccountName":"a","serviceAccount":"b"}})",
       "spec.serviceAccount", R"("a")"},
      {R"({"apiVersion":"v1","kind":"Pod","spec":{"volumes":[{"name":"a"}]}})",
       "spec.volumes.0.emptyDir", "{}"},
      {R"({"apiVersion":"v1","kind":"Pod","spec":{"volumes":[{"name":"a","secret":{}}]}})",
       "spec.volumes.0", R"({"name":"a","secret":{"defaultMode":420}})"},
      {R"({"apiVersion":"v1","kind":"Secret","stringData":{"a":"hi"},"data":{"b":"AA=="}})", "data",
       R"({"b":"AA==","a":"aGk="})"},
      {R"({"apiVersion":"v1","kind":"Secret","stringData":{"a":"hi"}})", "stringData", ""},
      {R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"x"}})", "metadata.labels",
       R"({"kubernetes.io/metadata.name":"x"})"},
      {R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"x"}})", "spec.finalizers",
       R"(["kubernetes"])"},
      {R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"x",
          "deletionTimestamp":"2026-01-01T00:00:00Z"}})",
       "spec.finalizers", ""},
      {R"({"apiVersion":"apps/v1","kind":"ReplicaSet","spec":{"replicas":0}})", "spec.replicas",
       "0"},
  };
  for (const Row& row : rows) {
    json::value document = defaulted(row.given);
    std::string pointer = "/" + std::string(row.path);
    std::ranges::replace(pointer, '.', '/');
    json::error_code error;
    const json::value* found = document.find_pointer(pointer, error);
    if (row.wanted.empty()) {
      EXPECT_EQ(found, nullptr) << row.given << row.path;
    } else {
      ASSERT_NE(found, nullptr) << row.given << row.path << json::serialize(document);
      EXPECT_EQ(*found, json::parse(row.wanted)) << row.given << json::serialize(*found);
    }
  }
}

TEST_F(Defaults, pods_get_what_templates_do_not) {
  json::value pod = defaulted(R"({"apiVersion":"v1","kind":"Pod","spec":{"containers":[]}})");
  EXPECT_TRUE(bool_at(pod.get_object(), "spec.enableServiceLinks"));
  EXPECT_EQ(string_at(pod.get_object(), "spec.serviceAccountName"), "default");
  EXPECT_EQ(string_at(pod.get_object(), "status.phase"), "Pending");
  json::value workload = defaulted(R"({"apiVersion":"apps/v1","kind":"Deployment","spec":{}})");
  EXPECT_EQ(find(workload.get_object(), "spec.template.spec.enableServiceLinks"), nullptr);
  EXPECT_EQ(find(workload.get_object(), "spec.template.spec.serviceAccountName"), nullptr);
}

TEST_F(Defaults, values_of_a_wrong_type_are_left_alone) {
  for (std::string_view text : {R"({"apiVersion":"v1","kind":"Pod","spec":"x"})",
                                R"({"apiVersion":"v1","kind":"Pod","spec":{"containers":{"a":1}}})",
                                R"({"apiVersion":"v1","kind":"Secret","stringData":[1]})"}) {
    json::value document = json::parse(text);
    const json::object& object = document.get_object();
    apply_defaults(*scheme_->find_schema("v1", kind_of(object)), document);
    EXPECT_TRUE(document.is_object());
  }
}

}  // namespace
}  // namespace tulle::kube
