#include "logs/s3/profile_files.h"

#include <gtest/gtest.h>

#include "base/testing/faulty_file_system.h"

namespace boxkeeper::logs::s3 {
namespace {

TEST(ProfileFilesTest, ParsesBothForms) {
  const Profiles keys = ParseProfiles(
      "# comment\n[default]\naws_access_key_id=AKID\nAWS_Secret_Access_Key = a/b+c=#;\r\n\n"
      "[prod]\n  ; indented comment\naws_access_key_id = PROD # mine\n",
      false);
  EXPECT_EQ(keys.at("default").at("aws_access_key_id"), "AKID");
  EXPECT_EQ(keys.at("default").at("aws_secret_access_key"), "a/b+c=#;");
  EXPECT_EQ(keys.at("prod").at("aws_access_key_id"), "PROD");

  const Profiles settings = ParseProfiles(
      "[default]\nregion = eu-west-1\ns3 =\n  addressing_style = path\n  region = nested\n"
      "[profile prod]\nregion=us-east-2\n[sso-session x]\nregion=no\n[prod]\nregion=no\n",
      true);
  EXPECT_EQ(settings.at("default").at("region"), "eu-west-1");
  EXPECT_EQ(settings.at("prod").at("region"), "us-east-2");
  EXPECT_EQ(settings.size(), 2u);
}

TEST(ProfileFilesTest, NonsenseIsSkipped) {
  EXPECT_TRUE(ParseProfiles("key = value\n=\n[\n", false).size() <= 1);
  EXPECT_TRUE(ParseProfiles("[profile]\nx=1\n[profilex]\nx=1\n", true).empty());
}

class LoadProfileTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(files_.MakeDirectories(base::ParentDirectory(path), 0700).ok());
    ASSERT_TRUE(base::WriteFileAtomically(files_, path, text, 0600).ok());
  }
  absl::StatusOr<std::optional<Profile>> Load(const std::string& name) {
    return LoadProfile(files_, [this](const std::string& key) { return variables_[key]; }, name);
  }

  base::FaultyFileSystem files_;
  std::map<std::string, std::string> variables_ = {{"HOME", "/home/u"}};
};

TEST_F(LoadProfileTest, MergesBothFilesAndPrefersTheCredentials) {
  Write("/home/u/.aws/credentials", "[p]\naws_access_key_id=A\n");
  Write("/home/u/.aws/config", "[profile p]\naws_access_key_id=B\nregion=r\n");
  const auto profile = Load("p");
  ASSERT_TRUE(profile.ok()) << profile.status();
  EXPECT_EQ((*profile)->at("aws_access_key_id"), "A");
  EXPECT_EQ((*profile)->at("region"), "r");
  EXPECT_EQ(*Load("other"), std::nullopt);
}

TEST_F(LoadProfileTest, FilesElsewhereAndNoneAtAll) {
  EXPECT_EQ(*Load("default"), std::nullopt);
  variables_["AWS_SHARED_CREDENTIALS_FILE"] = "/etc/keys";
  variables_["AWS_CONFIG_FILE"] = "/etc/config";
  Write("/etc/keys", "[default]\naws_access_key_id=A\n");
  EXPECT_EQ((*Load("default"))->at("aws_access_key_id"), "A");
}

TEST(ProfileNameTest, ConfigurationBeforeEnvironment) {
  const remote::Environment environment = [](const std::string& name) {
    return name == "AWS_PROFILE" ? std::string("env") : std::string();
  };
  EXPECT_EQ(ProfileName(environment, "mine"), "mine");
  EXPECT_EQ(ProfileName(environment, ""), "env");
  EXPECT_EQ(ProfileName([](const std::string&) { return std::string(); }, ""), "default");
}

}  // namespace
}  // namespace boxkeeper::logs::s3
