#include "daemon/wiring/config_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace boxkeeper::daemon {
namespace {

using ::testing::HasSubstr;

config::v1::Config Load(const std::string& text) {
  config::LoadOptions options = MakeLoadOptions();
  options.check_files = false;
  config::LoadResult loaded = config::LoadConfigText("state_dir: /s\n" + text, "c.yaml", options);
  EXPECT_TRUE(loaded.ok()) << ::testing::PrintToString(loaded.Messages());
  return loaded.config;
}

TEST(ConfigOptionsTest, TheConfigurationsDefaultsAreTheCoresDefaults) {
  const CoreOptions core =
      MakeCoreOptions(Load("providers: {local: {type: local, isolation: none}}"), "d");
  const CoreOptions defaults;
  EXPECT_EQ(core.creation_batch_size, defaults.creation_batch_size);
  EXPECT_EQ(core.creation_batch_wait, defaults.creation_batch_wait);
  EXPECT_EQ(core.poll_interval, defaults.poll_interval);
  EXPECT_EQ(core.create_timeout, defaults.create_timeout);
  EXPECT_EQ(core.start_timeout, defaults.start_timeout);
  EXPECT_EQ(core.cancel_grace, defaults.cancel_grace);
  EXPECT_EQ(core.final_drain, defaults.final_drain);
  EXPECT_EQ(core.max_running, defaults.max_running);
  EXPECT_EQ(core.max_queued, defaults.max_queued);
  EXPECT_EQ(core.max_attempts, defaults.max_attempts);
  EXPECT_EQ(core.retry_initial, defaults.retry_initial);
  EXPECT_EQ(core.retry_max, defaults.retry_max);
  EXPECT_EQ(core.orphan_grace, defaults.orphan_grace);
  EXPECT_EQ(core.handover_grace, defaults.handover_grace);
  EXPECT_EQ(core.retention, defaults.retention);
  EXPECT_EQ(core.unacked_retention, defaults.unacked_retention);
  EXPECT_EQ(core.dedupe_retention, defaults.dedupe_retention);
  EXPECT_EQ(core.default_provider, "local");
  EXPECT_EQ(core.deployment_id, "d");
  ASSERT_EQ(core.providers.count("local"), 1u);
  const ProviderLimits limits;
  EXPECT_EQ(core.providers.at("local").create_concurrency, limits.create_concurrency);
  EXPECT_EQ(core.providers.at("local").call_timeout, limits.call_timeout);
}

TEST(ConfigOptionsTest, WhatIsWrittenArrives) {
  const config::v1::Config config = Load(R"(
server:
  listen: ["0.0.0.0:1", "unix:x.sock"]
  tls: {cert_file: /c, key_file: /k, client_ca_file: /a}
logs: {layout: airflow, max_bytes_per_task: 3KiB, overflow: block, flush_interval: 150ms, redact: false}
spool: {path: sp}
scheduling: {poll_interval: 250ms, retry_backoff: {initial: 2s}}
providers: {here: {type: local, isolation: none, max_running: 4, concurrency: {create: 3}}}
)");
  const CoreOptions core = MakeCoreOptions(config, "");
  EXPECT_EQ(core.poll_interval, std::chrono::milliseconds(250));
  EXPECT_EQ(core.retry_initial, std::chrono::milliseconds(2000));
  EXPECT_EQ(core.providers.at("here").max_running, 4);
  EXPECT_EQ(core.providers.at("here").create_concurrency, 3);
  const providers::CallLimits limits = MakeCallLimits(config.providers(0));
  EXPECT_EQ(limits.create, 3);
  EXPECT_EQ(limits.status, providers::CallLimits().status);
  EXPECT_EQ(limits.cleanup, providers::CallLimits().cleanup);
  EXPECT_EQ(limits.call_timeout, providers::CallLimits().call_timeout);
  const LogAdapterOptions logs = MakeLogOptions(config);
  EXPECT_EQ(logs.spool_dir, "/s/sp");
  EXPECT_EQ(logs.layout, logs::Layout::kAirflow);
  EXPECT_EQ(logs.max_bytes_per_task, 3 * 1024);
  EXPECT_EQ(logs.overflow, provider::v1::SpoolPaths::BLOCK);
  EXPECT_FALSE(logs.redact);
  EXPECT_EQ(logs.shipper.flush_interval, std::chrono::milliseconds(150));
  const auto tls = MakeTlsFiles(config);
  ASSERT_TRUE(tls.has_value());
  EXPECT_EQ(tls->client_ca_file, "/a");
}

TEST(ConfigOptionsTest, AProvidersOwnMistakesAreLocated) {
  config::LoadOptions options = MakeLoadOptions();
  const auto loaded = config::LoadConfigText(
      "state_dir: /s\nproviders:\n  local:\n    type: local\n    isolation: docker\n", "c.yaml",
      options);
  ASSERT_EQ(loaded.problems.size(), 1u);
  EXPECT_THAT(loaded.Messages()[0], HasSubstr("c.yaml:5: providers.local.isolation"));
}

}  // namespace
}  // namespace boxkeeper::daemon
