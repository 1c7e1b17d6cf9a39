#include "daemon/submit/secret_sources.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace boxkeeper::daemon {
namespace {

namespace fs = std::filesystem;

class SecretSourcesTest : public ::testing::Test {
 protected:
  SecretSourcesTest() {
    dir_ = fs::canonical(::testing::TempDir()) /
           ("secrets_" + std::to_string(::testing::UnitTest::GetInstance()->random_seed()) + "_" +
            ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(dir_);
    fs::create_directories(dir_ / "list");
    config_ = std::make_shared<config::v1::Config>();
    config_->mutable_secrets()->add_allow_files((dir_ / "list").string() + "/");
    config_->mutable_secrets()->add_allow_files((dir_ / "one").string());
    config_->mutable_secrets()->add_allow_env("BK_TEST_SECRET");
    config_->mutable_secrets()->add_allow_env("BK_TEST_UNSET");
  }
  ~SecretSourcesTest() override { fs::remove_all(dir_); }

  std::string Write(const std::string& name, const std::string& content) {
    std::ofstream(dir_ / name, std::ios::binary) << content;
    return (dir_ / name).string();
  }
  absl::StatusOr<std::string> Read(const std::string& path) {
    return MakeFileSource(config_)(path);
  }

  fs::path dir_;
  std::shared_ptr<config::v1::Config> config_;
};

TEST_F(SecretSourcesTest, ReadsAllowedFilesWithoutTheirLastNewline) {
  EXPECT_EQ(*Read(Write("one", "value\n")), "value");
  EXPECT_EQ(*Read(Write("list/a", "two\nlines\n\n")), "two\nlines\n");
  EXPECT_EQ(*Read(Write("list/b", "")), "");
}

TEST_F(SecretSourcesTest, RefusesEverythingElseWithoutLooking) {
  const std::string other = Write("other", "x");
  Write("list/a", "x");
  for (const std::string& path :
       {other, (dir_ / "list/../other").string(), (dir_ / "list").string(),
        (dir_ / "list").string() + "/", (dir_ / "list//a").string(), std::string("list/a"),
        std::string(""), (dir_ / "one/x").string(), (dir_ / "onemore").string()}) {
    EXPECT_EQ(Read(path).status().code(), absl::StatusCode::kPermissionDenied) << path;
  }
}

TEST_F(SecretSourcesTest, LinksMustLeadToAllowedFiles) {
  const std::string other = Write("other", "x");
  fs::create_symlink(other, dir_ / "list/out");
  EXPECT_EQ(Read((dir_ / "list/out").string()).status().code(),
            absl::StatusCode::kPermissionDenied);
  Write("list/real", "in");
  fs::create_symlink("real", dir_ / "list/link");  // as Kubernetes mounts secrets
  EXPECT_EQ(*Read((dir_ / "list/link").string()), "in");
  fs::create_symlink(other, dir_ / "one");  // the operator's own link
  EXPECT_EQ(*Read((dir_ / "one").string()), "x");
}

TEST_F(SecretSourcesTest, OnlyRegularFilesOfBoundedSize) {
  EXPECT_EQ(Read((dir_ / "list/none").string()).status().code(), absl::StatusCode::kNotFound);
  fs::create_directory(dir_ / "list/dir");
  EXPECT_FALSE(Read((dir_ / "list/dir").string()).ok());
  EXPECT_TRUE(Read(Write("list/max", std::string(kSecretFileBytesMax, 'x') + "\n")).ok());
  EXPECT_FALSE(Read(Write("list/big", std::string(kSecretFileBytesMax + 1, 'x'))).ok());
}

TEST_F(SecretSourcesTest, ReadsAllowedVariables) {
  setenv("BK_TEST_SECRET", "v", 1);
  const SecretSource source = MakeEnvSource(config_);
  EXPECT_EQ(*source("BK_TEST_SECRET"), "v");
  EXPECT_EQ(source("BK_TEST_UNSET").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(source("HOME").status().code(), absl::StatusCode::kPermissionDenied);
  unsetenv("BK_TEST_SECRET");
}

}  // namespace
}  // namespace boxkeeper::daemon
