#include "kube/prune.h"

#include "kube/object.h"
#include "kube/scheme.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace tulle::kube {
namespace {

struct Row {
  std::string_view given;
  std::string_view kept;
  std::vector<std::string> reports;
};

TEST(Prune, unknown_fields_are_reported_in_upstreams_words_and_removed) {
  std::unique_ptr<Scheme> scheme = make_builtin_scheme().value();
  const Row rows[] = {
      {R"({"apiVersion":"v1","kind":"Pod","spec":{"x":1,"containers":[{"name":"a","imag":"b"}]}})",
       R"({"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"a"}]}})",
       {R"(unknown field "spec.x")", R"(unknown field "spec.containers[0].imag")"}},
      {R"({"apiVersion":"v1","kind":"ConfigMap","datum":{},"data":{"any.key":"v"}})",
       R"({"apiVersion":"v1","kind":"ConfigMap","data":{"any.key":"v"}})",
       {R"(unknown field "datum")"}},
      {R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"creationTimestamp":null,
           "labels":{},"annotations":{"a":""}},"spec":{"replicas":0,"minReadySeconds":0,
           "strategy":{},"paused":false,"template":{"spec":{"containers":[{"name":"","env":[],
           "stdin":false,"resources":{}}]}}}})",
       R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"annotations":{"a":""}},
           "spec":{"replicas":0,"strategy":{},"template":{"spec":{"containers":[
           {"name":"","resources":{}}]}}}})",
       {}},
      {R"({"apiVersion":"apps/v1","kind":"ControllerRevision","data":{"any":{"thing":null}},
           "revision":1})",
       R"({"apiVersion":"apps/v1","kind":"ControllerRevision","data":{"any":{"thing":null}},
           "revision":1})",
       {}},
      {R"({"apiVersion":"v1","kind":"Node","status":{"capacity":{"cpu":2,"memory":"1024Ki",
           "x":0.5}}})",
       R"({"apiVersion":"v1","kind":"Node","status":{"capacity":{"cpu":"2","memory":"1Mi",
           "x":"500m"}}})",
       {}},
  };
  for (const Row& row : rows) {
    json::value document = json::parse(row.given);
    const json::object& object = document.get_object();
    const Schema* schema = scheme->find_schema(api_version_of(object), kind_of(object));
    EXPECT_EQ(prune(*schema, document), row.reports) << row.given;
    EXPECT_EQ(document, json::parse(row.kept)) << json::serialize(document);
  }
}

}  // namespace
}  // namespace tulle::kube
