#include "daemon/wiring/identity_adapter.h"

#include <gtest/gtest.h>

#include "base/testing/faulty_file_system.h"

namespace boxkeeper::daemon {
namespace {

class IdentityAdapterTest : public ::testing::Test {
 protected:
  IdentityAdapterTest() : rng_(base::MakeSeededRng(3)) {
    EXPECT_TRUE(files_.MakeDirectories("/state", 0700).ok());
    auto deployment = base::Deployment::LoadOrCreate(files_, *rng_, {.state_dir = "/state"});
    EXPECT_TRUE(deployment.ok()) << deployment.status();
    deployment_ = *std::move(deployment);
    auto sealer = base::Sealer::Create(files_, *rng_, {.key_file = "/state/identity/seal"});
    EXPECT_TRUE(sealer.ok()) << sealer.status();
    sealer_ = *std::move(sealer);
  }

  base::FaultyFileSystem files_;
  std::unique_ptr<base::Rng> rng_;
  std::unique_ptr<base::Deployment> deployment_;
  std::unique_ptr<base::Sealer> sealer_;
};

TEST_F(IdentityAdapterTest, OursVerifyByLabelsAndByNameAlone) {
  const DeploymentNaming naming(*deployment_);
  const base::SandboxId id{rng_->NewId()};
  const auto labels = naming.Labels(id, "local", 5, 9, {.incarnation = 3, .position = 4});
  const auto by_labels = naming.Verify(naming.Name(id), labels, "local");
  ASSERT_TRUE(by_labels.has_value());
  EXPECT_EQ(by_labels->id, id);
  EXPECT_EQ(by_labels->epoch, 9);
  const auto by_name = naming.Verify(naming.Name(id), {}, "local");
  ASSERT_TRUE(by_name.has_value());
  EXPECT_EQ(by_name->id, id);
}

TEST_F(IdentityAdapterTest, OthersDoNot) {
  const DeploymentNaming naming(*deployment_);
  const base::SandboxId id{rng_->NewId()};
  EXPECT_FALSE(naming.Verify("somebody-elses", {}, "local").has_value());
  auto labels = naming.Labels(id, "local", 5, 9, {.incarnation = 3, .position = 4});
  EXPECT_FALSE(naming.Verify(naming.Name(id), labels, "another").has_value());
  labels[base::kLabelEpoch] = "10";
  EXPECT_FALSE(naming.Verify(naming.Name(id), labels, "local").has_value());
}

TEST_F(IdentityAdapterTest, WhatPrepareSealedOpensForItsSubmissionOnly) {
  const SealerSecretKeeper keeper(*sealer_);
  const base::SubmissionId mine{rng_->NewId()};
  const std::string associated(reinterpret_cast<const char*>(mine.id.bytes.data()),
                               mine.id.bytes.size());
  const std::string box = keeper.Seal("the values", associated);
  const auto opened = Unseal(*sealer_, box, mine);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(*opened, "the values");
  EXPECT_FALSE(Unseal(*sealer_, box, base::SubmissionId{rng_->NewId()}).ok());
}

}  // namespace
}  // namespace boxkeeper::daemon
