#include "daemon/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

namespace boxkeeper::daemon {
namespace {

using ::testing::HasSubstr;

std::string Text(const Metrics& metrics) {
  return prometheus::TextSerializer().Serialize(metrics.Collect());
}

TEST(MetricsTest, NamesStatesAndOutcomesInWords) {
  Metrics metrics;
  metrics.tasks[v1::TASK_STATE_RUNNING] = 3;
  metrics.submits[v1::SubmitResult::ALREADY_LIVE] = 2;
  metrics.task_ends[v1::REASON_EXIT_CODE] = 1;
  const std::string text = Text(metrics);
  EXPECT_THAT(text, HasSubstr("boxkeeper_tasks{state=\"running\"} 3"));
  EXPECT_THAT(text, HasSubstr("boxkeeper_submits_total{outcome=\"already_live\"} 2"));
  EXPECT_THAT(text, HasSubstr("boxkeeper_task_ends_total{reason=\"exit_code\"} 1"));
}

TEST(MetricsTest, CountsProviderCallsByVerbAndOutcome) {
  Metrics metrics;
  uint64_t& created = metrics.ProviderCalls("local", "create", "ok");
  ++created;
  metrics.ProviderCalls("local", "create", "transient") += 2;
  ++created;
  const std::string text = Text(metrics);
  EXPECT_THAT(
      text,
      HasSubstr(
          "boxkeeper_provider_calls_total{provider=\"local\",verb=\"create\",outcome=\"ok\"} 2"));
  EXPECT_THAT(text, HasSubstr("outcome=\"transient\"} 2"));
}

TEST(MetricsTest, HistogramBucketsAreCumulative) {
  Metrics metrics;
  metrics.store_commit.Observe(std::chrono::microseconds(100));
  metrics.store_commit.Observe(std::chrono::milliseconds(3));
  metrics.store_commit.Observe(std::chrono::seconds(60));
  const std::string text = Text(metrics);
  EXPECT_THAT(text, HasSubstr("boxkeeper_store_commit_seconds_bucket{le=\"0.0001\"} 1"));
  EXPECT_THAT(text, HasSubstr("boxkeeper_store_commit_seconds_bucket{le=\"0.005\"} 2"));
  EXPECT_THAT(text, HasSubstr("boxkeeper_store_commit_seconds_bucket{le=\"+Inf\"} 3"));
  EXPECT_THAT(text, HasSubstr("boxkeeper_store_commit_seconds_count 3"));
}

TEST(MetricsTest, ShowsTheProcessItself) {
  Metrics metrics;
  for (const auto& family : metrics.Collect()) {
    if (family.name == "process_resident_memory_bytes" || family.name == "process_open_fds") {
      EXPECT_GT(family.metric.at(0).gauge.value, 0) << family.name;
    }
  }
}

}  // namespace
}  // namespace boxkeeper::daemon
