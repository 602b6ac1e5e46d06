#include "kube/validate.h"

#include "kube/defaults.h"
#include "kube/object.h"
#include "kube/prune.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tulle::kube {
namespace {

using testing::ElementsAreArray;

constexpr std::string_view deployment = R"({"apiVersion":"apps/v1","kind":"Deployment",
  "metadata":{"name":"web","namespace":"default"},"spec":{"selector":{"matchLabels":{"app":"web"}},
  "template":{"metadata":{"labels":{"app":"web"}},
  "spec":{"containers":[{"name":"web","image":"web:1","ports":[{"containerPort":80}]}]}}}})";
constexpr std::string_view service = R"({"apiVersion":"v1","kind":"Service",
  "metadata":{"name":"web","namespace":"default"},
  "spec":{"selector":{"app":"web"},"ports":[{"port":80}]}})";
constexpr std::string_view pod = R"({"apiVersion":"v1","kind":"Pod",
  "metadata":{"name":"one","namespace":"default"},
  "spec":{"containers":[{"name":"c","image":"i:1"}]}})";
constexpr std::string_view ingress = R"({"apiVersion":"networking.k8s.io/v1","kind":"Ingress",
  "metadata":{"name":"i","namespace":"default"},"spec":{"rules":[{"host":"web.localhost","http":
  {"paths":[{"path":"/","pathType":"Prefix","backend":{"service":{"name":"web",
  "port":{"number":80}}}}]}}]}})";
constexpr std::string_view stateful_set = R"({"apiVersion":"apps/v1","kind":"StatefulSet",
  "metadata":{"name":"db","namespace":"default"},"spec":{"serviceName":"db",
  "selector":{"matchLabels":{"app":"db"}},"template":{"metadata":{"labels":{"app":"db"}},
  "spec":{"containers":[{"name":"db","image":"db:1"}]}},"volumeClaimTemplates":[
  {"metadata":{"name":"data"},"spec":{"accessModes":["ReadWriteOnce"],
   "resources":{"requests":{"storage":"1Gi"}}}}]}})";
constexpr std::string_view cron_job = R"({"apiVersion":"batch/v1","kind":"CronJob",
  "metadata":{"name":"cj","namespace":"default"},
  "spec":{"schedule":"*/5 * * * *","timeZone":"Europe/Berlin","jobTemplate":{"spec":{"template":{
    "spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}}}})";
constexpr std::string_view job = R"({"apiVersion":"batch/v1","kind":"Job",
  "metadata":{"name":"sum","namespace":"default","uid":"u1"},"spec":{"template":{
  "spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i:1"}]}}}})";
constexpr std::string_view autoscaler = R"({"apiVersion":"autoscaling/v2",
  "kind":"HorizontalPodAutoscaler","metadata":{"name":"web","namespace":"default"},"spec":{
  "scaleTargetRef":{"kind":"Deployment","name":"web"},"maxReplicas":5}})";
constexpr std::string_view budget = R"({"apiVersion":"policy/v1","kind":"PodDisruptionBudget",
  "metadata":{"name":"web","namespace":"default"},"spec":{"minAvailable":1}})";
constexpr std::string_view claim = R"({"apiVersion":"v1","kind":"PersistentVolumeClaim",
  "metadata":{"name":"data","namespace":"default"},"spec":{"accessModes":["ReadWriteOnce"],
  "resources":{"requests":{"storage":"1Gi"}}}})";
constexpr std::string_view config = R"({"apiVersion":"v1","kind":"ConfigMap",
  "metadata":{"name":"c","namespace":"default"},"data":{"a":"1"}})";

class Validation : public testing::Test {
 protected:
  void SetUp() override { scheme_ = make_builtin_scheme().value(); }

  // `base` with the value at the JSON pointer set, or removed where `value` is "".
  static json::value changed(std::string_view base, std::string_view pointer,
                             std::string_view value) {
    json::value document = json::parse(base);
    if (pointer.empty()) return document;
    json::error_code error;
    std::size_t slash = pointer.rfind('/');
    json::value* parent = document.find_pointer(pointer.substr(0, slash), error);
    EXPECT_TRUE(parent != nullptr && parent->is_object()) << pointer;
    std::string_view name = pointer.substr(slash + 1);
    if (value.empty()) {
      parent->get_object().erase(name);
    } else {
      parent->get_object()[name] = json::parse(value);
    }
    return document;
  }

  json::object prepared(json::value document) {
    KindRef kind = kind_for(document.get_object());
    prune(*kind->schema, document);
    apply_defaults(*kind->schema, document);
    return document.get_object();
  }

  KindRef kind_for(const json::object& object) {
    return scheme_->find_kind(api_version_of(object), kind_of(object));
  }

  std::vector<std::string> errors(const json::object& object, const json::object* old = nullptr) {
    std::vector<std::string> result;
    for (const StatusCause& cause : validate(*kind_for(object), object, old)) {
      result.push_back(fmt::format("{}: {}", cause.field, cause.message));
    }
    return result;
  }

  std::unique_ptr<Scheme> scheme_;
};

struct Row {
  std::string_view base;
  std::string_view pointer;
  std::string_view value;
  std::vector<std::string> errors;
};

constexpr std::string_view label_rule =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

TEST_F(Validation, mistakes_in_new_objects_are_told_in_upstreams_words) {
  const Row rows[] = {
      {deployment, "", "", {}},
      {service, "", "", {}},
      {pod, "", "", {}},
      {ingress, "", "", {}},
      {config, "", "", {}},
      {deployment,
       "/spec/replicas",
       "-1",
       {"spec.replicas: Invalid value: -1: must be greater than or equal to 0"}},
      {deployment, "/spec/selector", "", {"spec.selector: Required value"}},
      {deployment,
       "/spec/selector",
       "{}",
       {"spec.selector: Invalid value: {}: empty selector is invalid for deployment"}},
      {deployment,
       "/spec/template/metadata/labels/app",
       R"("other")",
       {R"(spec.template.metadata.labels: Invalid value: {"app":"other"}: `selector` does not )"
        "match template `labels`"}},
      {deployment,
       "/spec/template/spec/containers",
       "[]",
       {"spec.template.spec.containers: Required value"}},
      {deployment,
       "/spec/template/spec/containers/0/name",
       R"("")",
       {"spec.template.spec.containers[0].name: Required value"}},
      {deployment,
       "/spec/template/spec/containers/0/name",
       R"("Web")",
       {fmt::format("spec.template.spec.containers[0].name: Invalid value: \"Web\": {}",
                    label_rule)}},
      {deployment,
       "/spec/template/spec/restartPolicy",
       R"("Never")",
       {R"(spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: )"
        R"("Always")"}},
      {deployment,
       "/spec/template/spec/containers/0/ports/0/containerPort",
       "70000",
       {"spec.template.spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be "
        "between 1 and 65535, inclusive"}},
      {deployment,
       "/spec/strategy",
       R"({"type":"Recreate","rollingUpdate":{"maxSurge":1}})",
       {"spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is "
        "'Recreate'"}},
      {deployment,
       "/spec/strategy",
       R"({"rollingUpdate":{"maxSurge":0,"maxUnavailable":0}})",
       {"spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when "
        "`maxSurge` is 0"}},
      {pod,
       "/metadata/name",
       "",
       {"metadata.name: Required value: name or generateName is "
        "required"}},
      {pod,
       "/spec/restartPolicy",
       R"("Sometimes")",
       {R"(spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", )"
        R"("Never", "OnFailure")"}},
      {pod,
       "/spec/containers/0/volumeMounts",
       R"([{"name":"v","mountPath":"/v"}])",
       {R"(spec.containers[0].volumeMounts[0].name: Not found: "v")"}},
      {pod,
       "/spec/ephemeralContainers",
       R"([{"name":"c","image":"i:1","targetContainerName":"d","lifecycle":{}},)"
       R"({"name":"../d","image":"i:1"}])",
       {R"(spec.ephemeralContainers[0].name: Duplicate value: "c")",
        R"(spec.ephemeralContainers[0].targetContainerName: Not found: "d")",
        "spec.ephemeralContainers[0].lifecycle: Forbidden: cannot be set for an Ephemeral "
        "Container",
        R"(spec.ephemeralContainers[1].name: Invalid value: "../d": )" + std::string(label_rule)}},
      {pod,
       "/spec/containers/0/readinessProbe",
       R"({"periodSeconds":-1})",
       {"spec.containers[0].readinessProbe: Required value: must specify a handler type",
        "spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than "
        "or equal to 0"}},
      {pod,
       "/spec/containers/0/env",
       R"([{"name":"A","value":"1","valueFrom":{}}])",
       {"spec.containers[0].env[0].valueFrom: Forbidden: may not be specified when `value` is not "
        "empty",
        "spec.containers[0].env[0].valueFrom: Required value: must specify one of: `fieldRef`, "
        "`resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"}},
      {service, "/spec/ports", "[]", {"spec.ports: Required value"}},
      {service,
       "/spec/ports",
       R"([{"port":80},{"port":81,"name":"b"}])",
       {"spec.ports[0].name: Required value"}},
      {service,
       "/spec/ports",
       R"([{"port":80,"name":"b"},{"port":81,"name":"b"}])",
       {R"(spec.ports[1].name: Duplicate value: "b")"}},
      {service,
       "/spec/type",
       R"("Internal")",
       {R"(spec.type: Unsupported value: "Internal": supported values: "ClusterIP", )"
        R"("ExternalName", "LoadBalancer", "NodePort")"}},
      {service,
       "/spec/clusterIP",
       R"("ten")",
       {R"(spec.clusterIP: Invalid value: "ten": must be empty, "None", or a valid IP address)"}},
      {ingress,
       "/spec",
       "{}",
       {"spec: Invalid value: {}: either `defaultBackend` or `rules` must be specified"}},
      {ingress,
       "/spec/rules/0/http/paths/0/path",
       R"("x")",
       {R"(spec.rules[0].http.paths[0].path: Invalid value: "x": must be an absolute path)"}},
      {ingress,
       "/spec/rules/0/http/paths/0/pathType",
       "",
       {"spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"}},
      {config,
       "/data",
       R"({"a b":"1"})",
       {R"(data[a b]: Invalid value: "a b": a valid config key must consist of alphanumeric )"
        "characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used "
        "for validation is '[-._a-zA-Z0-9]+')"}},
      {config, "/metadata/namespace", "", {"metadata.namespace: Required value"}},
  };
  for (const Row& row : rows) {
    json::object object = prepared(changed(row.base, row.pointer, row.value));
    EXPECT_THAT(errors(object), ElementsAreArray(row.errors)) << row.pointer << row.value;
  }
}

TEST_F(Validation, mistakes_in_what_a_pod_may_do_are_told) {
  const Row rows[] = {
      {pod,
       "/spec/containers/0/securityContext",
       R"({"privileged":true,"allowPrivilegeEscalation":true,"seccompProfile":{"type":"Localhost",
           "localhostProfile":"a/b.json"}})",
       {}},
      {pod,
       "/spec/containers/0/securityContext",
       R"({"privileged":true,"allowPrivilegeEscalation":false})",
       {"spec.containers[0].securityContext.privileged: Invalid value: true: cannot set "
        "`allowPrivilegeEscalation` to false and `privileged` to true"}},
      {pod,
       "/spec/containers/0/securityContext",
       R"({"procMount":"Unmasked"})",
       {R"(spec.containers[0].securityContext.procMount: Invalid value: "Unmasked": )"
        "`hostUsers` must be false to use `Unmasked`"}},
      {pod,
       "/spec/securityContext",
       R"({"seccompProfile":{"type":"Localhost"},"appArmorProfile":{"type":"Unconfined",
           "localhostProfile":"x"}})",
       {"spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when "
        "seccomp type is Localhost",
        "spec.securityContext.appArmorProfile.localhostProfile: Forbidden: can only be set when "
        "AppArmor type is Localhost"}},
      {pod,
       "/spec/securityContext",
       R"({"sysctls":[{"name":"a","value":"1"},{"name":"a","value":"2"}]})",
       {R"(spec.securityContext.sysctls[1].name: Duplicate value: "a")"}},
  };
  for (const Row& row : rows) {
    json::object object = prepared(changed(row.base, row.pointer, row.value));
    EXPECT_THAT(errors(object), ElementsAreArray(row.errors)) << row.pointer << row.value;
  }
}

TEST_F(Validation, mistakes_in_how_a_volume_is_mounted_are_told) {
  struct Case {
    std::string_view container;
    std::vector<std::string> errors;
  };
  for (const Case& each : {
           Case{R"("securityContext":{"privileged":true},"volumeMounts":[{"name":"v",
                   "mountPath":"/v","mountPropagation":"Bidirectional"}])",
                {}},
           Case{R"("volumeMounts":[{"name":"v","mountPath":"/v",
                   "mountPropagation":"HostToContainer"}])",
                {}},
           Case{R"("volumeMounts":[{"name":"v","mountPath":"/v",
                   "mountPropagation":"Bidirectional"}])",
                {"spec.containers[0].volumeMounts[0].mountPropagation: Forbidden: Bidirectional "
                 "mount propagation is available only to privileged containers"}},
           Case{R"("volumeMounts":[{"name":"v","mountPath":"/v","recursiveReadOnly":"Enabled"}])",
                {"spec.containers[0].volumeMounts[0].recursiveReadOnly: Forbidden: may only be "
                 "specified when readOnly is true"}},
           Case{R"("volumeMounts":[{"name":"v","mountPath":"/v","readOnly":true,
                   "recursiveReadOnly":"Enabled","mountPropagation":"HostToContainer"}])",
                {"spec.containers[0].volumeMounts[0].recursiveReadOnly: Forbidden: may only be "
                 "specified when mountPropagation is None or not specified"}},
       }) {
    const json::object object = prepared(json::parse(fmt::format(
        R"({{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"p","namespace":"default"}},
            "spec":{{"volumes":[{{"name":"v","emptyDir":{{}}}}],
            "containers":[{{"name":"c","image":"i:1",{}}}]}}}})",
        each.container)));
    EXPECT_THAT(errors(object), ElementsAreArray(each.errors)) << each.container;
  }
}

constexpr std::string_view pod_rule =
    "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)";

TEST_F(Validation, mistakes_in_workloads_and_their_limits_are_told) {
  const Row rows[] = {
      {stateful_set, "", "", {}},
      {stateful_set,
       "/spec/template/spec/containers/0/volumeMounts",
       R"([{"name":"data","mountPath":"/v"}])",
       {}},
      {job,
       "/spec/template/spec/containers/0/volumeMounts",
       R"([{"name":"data","mountPath":"/v"}])",
       {R"(spec.template.spec.containers[0].volumeMounts[0].name: Not found: "data")"}},
      {pod,
       "/spec/containers/0/resources",
       R"({"requests":{"cpu":"64"},"limits":{"cpu":"1"}})",
       {R"(spec.containers[0].resources.requests: Invalid value: "64": must be less than or )"
        "equal to cpu limit of 1"}},
      {pod,
       "/spec/overhead",
       R"({"cpu":"-1"})",
       {R"(spec.overhead: Invalid value: "-1": must be greater than or equal to 0)"}},
      {job, "", "", {}},
      {autoscaler, "", "", {}},
      {budget, "", "", {}},
      {claim, "", "", {}},
      {stateful_set,
       "/spec/updateStrategy",
       R"({"type":"OnDelete","rollingUpdate":{"partition":1}})",
       {"spec.updateStrategy.rollingUpdate: Forbidden: only allowed for updateStrategy "
        "'RollingUpdate'"}},
      {stateful_set,
       "/spec/podManagementPolicy",
       R"("Random")",
       {R"(spec.podManagementPolicy: Unsupported value: "Random": supported values: )"
        R"("OrderedReady", "Parallel")"}},
      {job,
       "/spec/template/spec/restartPolicy",
       R"("Always")",
       {R"(spec.template.spec.restartPolicy: Unsupported value: "Always": supported values: )"
        R"("Never", "OnFailure")"}},
      {job, "/spec/completionMode", R"("Indexed")", {}},
      {job,
       "/spec/backoffLimitPerIndex",
       "1",
       {"spec.backoffLimitPerIndex: Forbidden: requires indexed completion mode"}},
      {cron_job, "", "", {}},
      {cron_job,
       "/spec/schedule",
       R"("61 * * * *")",
       {R"(spec.schedule: Invalid value: "61 * * * *": end of range (61) above maximum (59): 61)"}},
      {cron_job,
       "/spec/schedule",
       R"("TZ=UTC 0 0 * * *")",
       {R"(spec.schedule: Invalid value: "TZ=UTC 0 0 * * *": cannot use TZ or CRON_TZ in )"
        "schedule, use timeZone field instead"}},
      {cron_job,
       "/spec/timeZone",
       R"("Mars")",
       {R"(spec.timeZone: Invalid value: "Mars": unknown time zone Mars)"}},
      {cron_job,
       "/spec/timeZone",
       R"("local")",
       {R"(spec.timeZone: Invalid value: "local": timeZone must be an explicit time zone as )"
        "defined in https://www.iana.org/time-zones"}},
      {autoscaler,
       "/spec/minReplicas",
       "6",
       {"spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`"}},
      {autoscaler,
       "/spec/metrics",
       R"([{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization"}}}])",
       {"spec.metrics[0].resource.target.averageUtilization: Required value: must set a target "
        "utilization"}},
      {budget,
       "/spec/maxUnavailable",
       R"("half")",
       {"spec.minAvailable: Forbidden: minAvailable and maxUnavailable cannot be both set",
        R"(spec.maxUnavailable: Invalid value: "half": a valid percent string must be a numeric )"
        "string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is "
        "'[0-9]+%')"}},
      {claim,
       "/spec/accessModes",
       "[]",
       {"spec.accessModes: Required value: at least 1 access mode is required"}},
      {claim, "/spec/resources", "{}", {"spec.resources.requests: Required value"}},
      {claim,
       "/spec/resources/requests",
       R"({"cpu":"1"})",
       {"spec.resources.requests.storage: Required value"}},
  };
  for (const Row& row : rows) {
    const json::object object = prepared(changed(row.base, row.pointer, row.value));
    EXPECT_THAT(errors(object), ElementsAreArray(row.errors)) << row.pointer << row.value;
  }
}

constexpr std::string_view stateful_set_rule =
    "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', "
    "'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' "
    "and 'minReadySeconds' are forbidden";
constexpr std::string_view claim_rule =
    "spec: Forbidden: spec is immutable after creation except resources.requests and "
    "volumeAttributesClassName for bound claims";

TEST_F(Validation, what_may_not_change_does_not) {
  const Row rows[] = {
      {deployment, "/spec/replicas", "5", {}},
      {deployment, "/spec/selector/matchLabels/app", R"("web")", {}},
      {deployment,
       "/metadata/name",
       R"("new")",
       {R"(metadata.name: Invalid value: "new": field is immutable)"}},
      {pod, "/spec/containers/0/image", R"("i:2")", {}},
      {pod, "/spec/nodeName", R"("node")", {}},
      {pod, "/spec/containers/0/command", R"(["x"])", {std::string(pod_rule)}},
      {config, "/data/a", R"("2")", {}},
      {service, "/spec/clusterIP", R"("10.96.0.7")", {}},
      {stateful_set, "/spec/replicas", "5", {}},
      {stateful_set, "/spec/serviceName", R"("other")", {std::string(stateful_set_rule)}},
      {job, "/spec/backoffLimit", "5", {}},
      {job, "/spec/completions", "5", {"spec.completions: Invalid value: 5: field is immutable"}},
      {claim, "/spec/volumeName", R"("pv-1")", {}},
      {claim, "/spec/volumeMode", R"("Block")", {std::string(claim_rule)}},
  };
  for (const Row& row : rows) {
    json::object old = prepared(json::parse(row.base));
    json::object object = prepared(changed(row.base, row.pointer, row.value));
    EXPECT_THAT(errors(object, &old), ElementsAreArray(row.errors)) << row.pointer << row.value;
  }
}

TEST_F(Validation, a_selector_is_immutable) {
  json::object old = prepared(json::parse(deployment));
  json::object object = old;
  object["spec"].get_object()["selector"] = json::parse(R"({"matchLabels":{"a":"b"}})");
  object["spec"].get_object()["template"].get_object()["metadata"] =
      json::parse(R"({"labels":{"a":"b"}})");
  EXPECT_THAT(errors(object, &old),
              ElementsAreArray({R"(spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: )"
                                "field is immutable"}));
}

TEST_F(Validation, an_immutable_config_map_stays_as_it_is) {
  json::object old = prepared(changed(config, "/immutable", "true"));
  json::object object = old;
  object["data"].get_object()["a"] = "2";
  EXPECT_THAT(errors(object, &old),
              ElementsAreArray({"data: Forbidden: field is immutable when `immutable` is set"}));
}

TEST_F(Validation, an_address_once_given_stays) {
  json::object old = prepared(changed(service, "/spec/clusterIP", R"("10.96.0.7")"));
  json::object object = prepared(changed(service, "/spec/clusterIP", R"("10.96.0.8")"));
  EXPECT_THAT(errors(object, &old),
              ElementsAreArray({R"(spec.clusterIP: Invalid value: "10.96.0.8": may not change )"
                                "once set"}));
}

TEST_F(Validation, no_more_than_the_limit_of_errors_is_reported) {
  json::value document = json::parse(pod);
  json::array containers(field_errors_max + 5, json::value(json::object{{"name", "c"}}));
  document.get_object()["spec"].get_object()["containers"] = containers;
  EXPECT_EQ(errors(prepared(document)).size(), field_errors_max);
}

TEST_F(Validation, wrong_types_are_refused_as_gos_decoder_does) {
  const Row rows[] = {
      {deployment,
       "/spec/replicas",
       R"("3")",
       {R"(Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal )"
        "string into Go struct field DeploymentSpec.spec.replicas of type int32"}},
      {deployment,
       "/spec/replicas",
       "1.5",
       {R"(Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal )"
        "number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"}},
      {deployment,
       "/spec/replicas",
       "99999999999",
       {R"(Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal )"
        "number 99999999999 into Go struct field DeploymentSpec.spec.replicas of type int32"}},
      {deployment,
       "/spec/template/spec/containers",
       "{}",
       {R"(Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal )"
        "object into Go struct field PodSpec.spec.template.spec.containers of type "
        "[]v1.Container"}},
      {deployment,
       "/metadata/labels",
       R"({"a":1})",
       {R"(Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal )"
        "number into Go struct field ObjectMeta.metadata.labels of type string"}},
      {pod,
       "/spec/containers/0/resources",
       R"({"limits":{"cpu":"much"}})",
       {R"(Pod in version "v1" cannot be handled as a Pod: quantities must match the regular )"
        "expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"}},
      {service, "/spec/ports/0/targetPort", R"("http")", {}},
  };
  for (const Row& row : rows) {
    json::value document = changed(row.base, row.pointer, row.value);
    KindRef kind = kind_for(document.get_object());
    Result<void> checked = check_types(*kind->schema, kind->kind, kind->version, document);
    if (row.errors.empty()) {
      EXPECT_TRUE(checked) << checked.error().message;
    } else {
      ASSERT_FALSE(checked) << row.pointer;
      EXPECT_EQ(checked.error().message, row.errors[0]);
    }
  }
}

}  // namespace
}  // namespace tulle::kube
