#include "logs/gcs/credentials.h"

#include <gtest/gtest.h>

#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/crypto/base64.h"
#include "base/testing/faulty_file_system.h"
#include "logs/gcs/testing/test_key.h"

namespace boxkeeper::logs::gcs {
namespace {

using Kind = Credentials::Kind;

class CredentialsTest : public testing::Test {
 protected:
  absl::StatusOr<Credentials> Find(const Settings& settings = {}) {
    return FindCredentials(files_, settings, [this](const std::string& name) {
      const auto found = variables_.find(name);
      return found == variables_.end() ? std::string() : found->second;
    });
  }
  void Write(const std::string& path, const std::string& content) {
    ASSERT_TRUE(files_.MakeDirectories(base::ParentDirectory(path), 0700).ok());
    ASSERT_TRUE(base::WriteFileAtomically(files_, path, content, 0600).ok());
  }

  base::FaultyFileSystem files_;
  std::map<std::string, std::string> variables_;
};

TEST_F(CredentialsTest, TheOrderOfGooglesLibraries) {
  EXPECT_EQ(Find()->kind, Kind::kMetadataServer);
  variables_["HOME"] = "/home/ada";
  EXPECT_EQ(Find()->kind, Kind::kMetadataServer);
  Write("/home/ada/.config/gcloud/application_default_credentials.json",
        R"({"type":"authorized_user","client_id":"i","client_secret":"s","refresh_token":"r"})");
  EXPECT_EQ(Find()->kind, Kind::kAuthorizedUser);
  EXPECT_EQ(Find()->token_uri, "https://oauth2.googleapis.com/token");
  variables_["STORAGE_EMULATOR_HOST"] = "127.0.0.1:4443";
  EXPECT_EQ(Find()->kind, Kind::kAnonymous);
  Write("/key.json", TestKeyFile("https://token.example/token"));
  variables_["GOOGLE_APPLICATION_CREDENTIALS"] = "/key.json";
  EXPECT_EQ(Find()->kind, Kind::kServiceAccount);
  EXPECT_EQ(Find()->client_email, "boxkeeper@test.iam.gserviceaccount.com");
  variables_["GOOGLE_APPLICATION_CREDENTIALS"] = "/none.json";
  EXPECT_EQ(Find({.credentials_file = "/key.json"})->kind, Kind::kServiceAccount);
}

TEST_F(CredentialsTest, SaysWhichFileIsBadAndWhyWithoutItsContent) {
  const std::pair<const char*, const char*> cases[] = {
      {"hush", "is no credentials file"},
      {R"({"type":"external_account","x":"hush"})", "its type is 'external_account'"},
      {R"({"type":"service_account","client_email":"a","x":"hush"})", "lacks"},
      {R"({"type":"authorized_user","client_secret":"hush"})", "lacks refresh_token"}};
  for (const auto& [content, words] : cases) {
    Write("/key.json", content);
    const absl::Status status = Find({.credentials_file = "/key.json"}).status();
    EXPECT_TRUE(absl::IsUnauthenticated(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), words)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "logs.gcs.credentials_file: /key.json"))
        << status;
    EXPECT_FALSE(absl::StrContains(status.message(), "hush")) << status;
  }
  const absl::Status missing = Find({.credentials_file = "/none"}).status();
  EXPECT_TRUE(absl::StrContains(missing.message(), "cannot be read")) << missing;
}

// RFC 7523 and developers.google.com/identity/protocols/oauth2/service-account: header, claims and
// RS256 signature, checked with OpenSSL and the public half of the key.
TEST_F(CredentialsTest, TheAssertionIsOneThatGoogleTakes) {
  Write("/key.json", TestKeyFile("https://oauth2.googleapis.com/token"));
  const auto credentials = Find({.credentials_file = "/key.json"});
  ASSERT_TRUE(credentials.ok()) << credentials.status();
  const auto assertion = SignedAssertion(*credentials, absl::FromUnixSeconds(1'700'000'000));
  ASSERT_TRUE(assertion.ok()) << assertion.status();
  const std::vector<std::string> parts = absl::StrSplit(std::string(assertion->view()), '.');
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(*base::Base64Decode(parts[0]), R"({"alg":"RS256","typ":"JWT","kid":"key-1"})");
  EXPECT_EQ(*base::Base64Decode(parts[1]),
            R"({"iss":"boxkeeper@test.iam.gserviceaccount.com",)"
            R"("scope":"https://www.googleapis.com/auth/devstorage.read_write",)"
            R"("aud":"https://oauth2.googleapis.com/token","iat":1700000000,"exp":1700003600})");
  EXPECT_TRUE(IsSignedByTestKey(parts[0] + "." + parts[1], *base::Base64Decode(parts[2])));
  EXPECT_FALSE(IsSignedByTestKey(parts[0] + ".x", *base::Base64Decode(parts[2])));
}

TEST_F(CredentialsTest, AnEndpointMayBeGoogleAnEmulatorOrAnother) {
  const auto environment = [this](const std::string& name) {
    const auto found = variables_.find(name);
    return found == variables_.end() ? std::string() : found->second;
  };
  EXPECT_EQ(EndpointOf({}, environment), "https://storage.googleapis.com");
  variables_["STORAGE_EMULATOR_HOST"] = "127.0.0.1:4443";
  EXPECT_EQ(EndpointOf({}, environment), "http://127.0.0.1:4443");
  variables_["STORAGE_EMULATOR_HOST"] = "https://fake:1";
  EXPECT_EQ(EndpointOf({}, environment), "https://fake:1");
  EXPECT_EQ(EndpointOf({.endpoint = "https://mine"}, environment), "https://mine");
}

}  // namespace
}  // namespace boxkeeper::logs::gcs
