#include "proxy/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tulle::proxy {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST(MetricsTest, propagation_is_counted_in_seconds_and_is_never_less_than_nothing) {
  obs::Registry registry;
  Metrics metrics(registry);
  EXPECT_THAT(registry.exposition(), HasSubstr("tulle_propagation_seconds_count 0\n"));
  metrics.record_propagation(4900us);
  metrics.record_propagation(5100us);
  metrics.record_propagation(-2s);
  const std::string text = registry.exposition();
  EXPECT_THAT(text, HasSubstr("tulle_propagation_seconds_bucket{le=\"0.0005\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("tulle_propagation_seconds_bucket{le=\"0.004\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("tulle_propagation_seconds_bucket{le=\"0.005\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("tulle_propagation_seconds_sum 0.01\n"));
  EXPECT_THAT(text, HasSubstr("tulle_propagation_seconds_count 3\n"));
}

}  // namespace
}  // namespace tulle::proxy
