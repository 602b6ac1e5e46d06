#include "controllers/ending_pods.h"

#include "rt/loop.h"
#include "rt/sim_driver.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace tulle::controllers {
namespace {

// Nothing is asked of it: the caches never start.
class NoServer final : public kubeclient::Client {
 public:
  rt::Task<ApiResult<ObjectPtr>> get(kubeclient::Resource, kubeclient::ObjectKey) override {
    co_return kube::service_unavailable("");
  }
  rt::Task<ApiResult<kubeclient::List>> list(kubeclient::Resource,
                                             kubeclient::ListOptions) override {
    co_return kube::service_unavailable("");
  }
  rt::Task<ApiResult<std::unique_ptr<kubeclient::Watch>>> watch(kubeclient::Resource,
                                                                kubeclient::ListOptions,
                                                                std::string) override {
    co_return kube::service_unavailable("");
  }
  rt::Task<ApiResult<ObjectPtr>> create(kubeclient::Resource, json::object) override {
    co_return kube::service_unavailable("");
  }
  rt::Task<ApiResult<ObjectPtr>> update(kubeclient::Resource, json::object, std::string) override {
    co_return kube::service_unavailable("");
  }
  rt::Task<ApiResult<ObjectPtr>> patch(kubeclient::Resource, kubeclient::ObjectKey,
                                       kubeclient::PatchType, json::value, std::string) override {
    co_return kube::service_unavailable("");
  }
  rt::Task<ApiResult<void>> remove(kubeclient::Resource, kubeclient::ObjectKey,
                                   kubeclient::DeleteOptions) override {
    co_return kube::service_unavailable("");
  }
};

class EndingPodsTest : public testing::Test {
 protected:
  // What the cache shows from now on.
  ObjectPtr show(std::string_view uid, bool deleting = false) {
    json::object pod{{"metadata",
                      {{"name", "db-0"},
                       {"namespace", "shop"},
                       {"uid", uid},
                       {"resourceVersion", std::to_string(++version_)}}}};
    if (deleting) kube::set_at(pod, "metadata.deletionTimestamp", "2030-01-01T00:00:00Z");
    auto shown = std::make_shared<const json::object>(std::move(pod));
    shared_.pods.observe(shown);
    return shown;
  }

  rt::SimDriver driver_;
  rt::Loop loop_{driver_};
  NoServer client_;
  Shared shared_{loop_, client_, Random(1)};
  EndingPods ending_{shared_};
  int version_ = 0;
};

TEST_F(EndingPodsTest, a_pod_ends_from_when_it_was_told_until_the_cache_shows_it) {
  const ObjectPtr pod = show("a");
  EXPECT_FALSE(ending_.contains(*pod));
  ending_.told(*pod);
  EXPECT_TRUE(ending_.contains(*pod));
  EXPECT_TRUE(ending_.is_unanswered(*pod));
  ending_.answered(*pod);
  EXPECT_TRUE(ending_.contains(*pod));
  EXPECT_FALSE(ending_.is_unanswered(*pod));
  show("a");  // it has become ready meanwhile, say
  EXPECT_TRUE(ending_.contains(*pod));
  show("a", true);
  EXPECT_FALSE(ending_.contains(*pod));
}

TEST_F(EndingPodsTest, another_pod_of_its_name_does_not_end) {
  const ObjectPtr pod = show("a");
  ending_.told(*pod);
  const ObjectPtr next = show("b");
  EXPECT_FALSE(ending_.contains(*pod));
  EXPECT_FALSE(ending_.contains(*next));
}

TEST_F(EndingPodsTest, one_that_the_cache_shows_ending_already_is_not_remembered) {
  const ObjectPtr pod = show("a");
  show("a", true);
  ending_.told(*pod);
  EXPECT_FALSE(ending_.contains(*pod));
  const ObjectPtr next = show("b");
  ending_.told(*pod);
  EXPECT_FALSE(ending_.contains(*pod));
  ending_.answered(*next);
  EXPECT_FALSE(ending_.contains(*next));
}

}  // namespace
}  // namespace tulle::controllers
