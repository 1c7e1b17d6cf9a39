#include "providers/spec_fields.h"

#include <gtest/gtest.h>

namespace boxkeeper::providers {
namespace {

TEST(SpecFieldsTest, EveryProviderKeyIsNamedInOrder) {
  v1::SandboxSpec spec;
  spec.set_image("i");
  spec.set_template_("t");
  spec.set_cpu(0.5);
  spec.set_memory_mb(1);
  spec.set_disk_mb(1);
  spec.set_gpu("1");
  spec.set_pids(1);
  spec.set_user("u");
  spec.set_network("none");
  spec.set_read_only_root(false);
  spec.add_volumes()->set_source("s");
  spec.add_outputs("o");
  spec.set_stdin("i");
  (*spec.mutable_provider_options()->mutable_fields())["k"].set_bool_value(true);
  EXPECT_EQ(ProviderKeysOf(spec),
            (std::vector<std::string>{"image", "template", "cpu", "memory_mb", "disk_mb", "gpu",
                                      "pids", "user", "network", "read_only_root", "volumes",
                                      "outputs", "stdin", "provider_options"}));
}

TEST(SpecFieldsTest, KeysThatTheDaemonServesAreNotTheProviders) {
  v1::SandboxSpec spec;
  spec.add_provider("local");
  spec.set_profile("big");
  (*spec.mutable_env())["K"] = "V";
  spec.set_workdir("/tmp");
  spec.mutable_timeout()->set_seconds(1);
  spec.mutable_grace()->set_seconds(1);
  spec.set_priority(5);
  spec.mutable_provider_options();
  spec.mutable_log()->set_layout("plain");
  EXPECT_TRUE(ProviderKeysOf(spec).empty());
}

TEST(SpecFieldsTest, DeclaredKeysAreNoViolations) {
  pb::Capabilities capabilities;
  capabilities.add_spec_keys("cpu");
  v1::SandboxSpec spec;
  spec.set_cpu(1);
  spec.set_image("i");
  const auto violations = UnhonouredKeys(spec, capabilities);
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].field, "image");
}

}  // namespace
}  // namespace boxkeeper::providers
