#include "providers/local/isolation_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace boxkeeper::providers::local {
namespace {

using launcher::Abilities;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Isolation = LocalOptions::Isolation;

Abilities All() {
  return {.bubblewrap = {"/usr/bin/bwrap", ""},
          .cpu = {"cgroup2", ""},
          .memory = {"cgroup2", ""},
          .pids = {"cgroup2", ""},
          .disk = {"tmpfs", ""}};
}

Abilities Nothing() {
  const launcher::Ability no{"", "no namespaces here"};
  return {.bubblewrap = no, .cpu = no, .memory = no, .pids = no, .disk = no};
}

LocalOptions Options(Isolation isolation) {
  LocalOptions options;
  options.isolation = isolation;
  options.images = {{"alpine", "/srv/alpine"}};
  options.allow_host_paths = {"/data", "/srv/shared"};
  return options;
}

v1::SandboxSpec Everything() {
  v1::SandboxSpec spec;
  spec.set_image("alpine");
  spec.set_cpu(0.0001);
  spec.set_memory_mb(256);
  spec.set_disk_mb(10);
  spec.set_pids(20);
  spec.set_network("none");
  spec.set_read_only_root(true);
  v1::Volume* volume = spec.add_volumes();
  volume->set_source("/data/set");
  volume->set_target("/mnt/set");
  volume->set_read_only(true);
  return spec;
}

std::string Only(const std::vector<FieldViolation>& violations) {
  EXPECT_EQ(violations.size(), 1U);
  return violations.empty() ? "" : violations[0].field + ": " + violations[0].description;
}

TEST(IsolationPolicyTest, BubblewrapHonoursEveryKey) {
  const IsolationPolicy policy(Options(Isolation::kBubblewrap), All());
  EXPECT_THAT(policy.Judge(Everything()), IsEmpty());
  launcher::LaunchSpec launch;
  policy.Apply(Everything(), &launch);
  EXPECT_EQ(launch.isolation.kind, launcher::IsolationKind::kBubblewrap);
  EXPECT_FALSE(launch.isolation.host_network);
  EXPECT_EQ(launch.limits.cpu_millis, 1U);
  EXPECT_EQ(launch.limits.memory_bytes, 256U << 20);
  EXPECT_EQ(launch.limits.pids, 20U);
  EXPECT_EQ(launch.limits.disk_bytes, 10U << 20);
  ASSERT_EQ(launch.isolation.volumes.size(), 1U);
  EXPECT_EQ(launch.isolation.volumes[0].beneath, "/data");
  EXPECT_TRUE(launch.isolation.volumes[0].read_only);
}

TEST(IsolationPolicyTest, WithoutIsolationOnlyLimitsAreHonoured) {
  const IsolationPolicy policy(Options(Isolation::kNone), All());
  std::vector<std::string> refused;
  for (const FieldViolation& violation : policy.Judge(Everything())) {
    EXPECT_THAT(violation.description, HasSubstr("needs isolation"));
    refused.push_back(violation.field);
  }
  EXPECT_THAT(refused, ::testing::UnorderedElementsAre("image", "disk_mb", "network",
                                                       "read_only_root", "volumes"));
}

TEST(IsolationPolicyTest, ALimitThatCannotBeAppliedIsRefusedWithTheReason) {
  Abilities abilities = All();
  abilities.cpu = {"", "the cpu controller is not delegated"};
  const IsolationPolicy policy(Options(Isolation::kNone), abilities);
  v1::SandboxSpec spec;
  spec.set_cpu(1);
  EXPECT_THAT(Only(policy.Judge(spec)), HasSubstr("not delegated"));
}

TEST(IsolationPolicyTest, BubblewrapThatCannotWorkRefusesEveryTask) {
  const IsolationPolicy policy(Options(Isolation::kBubblewrap), Nothing());
  EXPECT_THAT(policy.unusable(), HasSubstr("no namespaces here"));
  EXPECT_THAT(Only(policy.Judge({})), HasSubstr("provider: isolation 'bubblewrap'"));
}

TEST(IsolationPolicyTest, AutoDegradesOnlyWhereAllowed) {
  const IsolationPolicy strict(Options(Isolation::kAuto), Nothing());
  EXPECT_THAT(Only(strict.Judge({})), HasSubstr("allow_degraded: true"));
  LocalOptions lenient = Options(Isolation::kAuto);
  lenient.allow_degraded = true;
  const IsolationPolicy degraded(lenient, Nothing());
  EXPECT_TRUE(degraded.degraded());
  EXPECT_THAT(degraded.Judge({}), IsEmpty());
  launcher::LaunchSpec launch;
  degraded.Apply({}, &launch);
  EXPECT_EQ(launch.isolation.kind, launcher::IsolationKind::kNone);
  EXPECT_TRUE(IsolationPolicy(lenient, All()).isolates());
}

TEST(IsolationPolicyTest, NetworksAreAllowedByName) {
  LocalOptions options = Options(Isolation::kBubblewrap);
  v1::SandboxSpec spec;
  spec.set_network("host");
  EXPECT_THAT(Only(IsolationPolicy(options, All()).Judge(spec)), HasSubstr("allows: none"));
  options.allow_network = {"host"};
  const IsolationPolicy host(options, All());
  EXPECT_THAT(host.Judge(spec), IsEmpty());
  launcher::LaunchSpec launch;
  host.Apply({}, &launch);
  EXPECT_TRUE(launch.isolation.host_network) << "nothing else is allowed";
}

TEST(IsolationPolicyTest, VolumesStayBelowWhatIsAllowed) {
  const IsolationPolicy policy(Options(Isolation::kBubblewrap), All());
  const auto judge = [&](const std::string& source, const std::string& target) {
    v1::SandboxSpec spec;
    spec.add_volumes()->set_source(source);
    spec.mutable_volumes(0)->set_target(target);
    return policy.Judge(spec);
  };
  EXPECT_THAT(judge("/data", "/mnt"), IsEmpty());
  EXPECT_THAT(judge("/srv/shared/x", "/mnt"), IsEmpty());
  EXPECT_THAT(judge("/data", "/tmp/cache"), IsEmpty());
  for (const char* source : {"/database", "/etc", "/data/../etc", "data", "/data/", "/srv", "/"}) {
    EXPECT_EQ(judge(source, "/mnt").size(), 1U) << source;
  }
  for (const char* target : {"/", "/usr/x", "/proc", "/tmp", "/mnt/../usr", "/mnt/", "/work/in"}) {
    EXPECT_EQ(judge("/data", target).size(), 1U) << target;
  }
}

TEST(IsolationPolicyTest, AWritableRootIsRefused) {
  v1::SandboxSpec spec;
  spec.set_read_only_root(false);
  EXPECT_THAT(Only(IsolationPolicy(Options(Isolation::kBubblewrap), All()).Judge(spec)),
              HasSubstr("always read-only"));
}

TEST(IsolationPolicyTest, BeforeTheLauncherHasSpokenTheOptionsCount) {
  EXPECT_THAT(IsolationPolicy(Options(Isolation::kAuto), std::nullopt).Judge(Everything()),
              IsEmpty());
}

}  // namespace
}  // namespace boxkeeper::providers::local
