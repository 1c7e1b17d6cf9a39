#include "daemon/http/pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace boxkeeper::daemon {
namespace {

using ::testing::HasSubstr;

HttpSources Sources(std::vector<std::string> reasons) {
  HttpSources sources;
  sources.metrics = [] {
    prometheus::MetricFamily family;
    family.name = "boxkeeper_things_total";
    family.type = prometheus::MetricType::Counter;
    family.metric.emplace_back();
    family.metric.back().counter.value = 4;
    return std::vector<prometheus::MetricFamily>{family};
  };
  sources.not_ready_because = [reasons] { return reasons; };
  return sources;
}

TEST(PagesTest, MetricsAreInPrometheusText) {
  const HttpAnswer answer = FindPage("/metrics")(Sources({}))();
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.content_type, HasSubstr("version=0.0.4"));
  EXPECT_THAT(answer.body, HasSubstr("# TYPE boxkeeper_things_total counter"));
  EXPECT_THAT(answer.body, HasSubstr("boxkeeper_things_total 4"));
}

TEST(PagesTest, ReadinessSaysWhatIsMissing) {
  const HttpAnswer ready = FindPage("/readyz")(Sources({}))();
  EXPECT_EQ(ready.status, 200);
  EXPECT_EQ(ready.body, "{\"ready\":true,\"reasons\":[]}\n");
  const HttpAnswer waiting = FindPage("/readyz")(Sources({"reading the \"store\""}))();
  EXPECT_EQ(waiting.status, 503);
  EXPECT_EQ(waiting.body, "{\"ready\":false,\"reasons\":[\"reading the \\\"store\\\"\"]}\n");
}

TEST(PagesTest, OtherPathsAreUnknown) {
  EXPECT_EQ(FindPage("/"), nullptr);
  EXPECT_EQ(FindPage("/metrics/"), nullptr);
}

}  // namespace
}  // namespace boxkeeper::daemon
