#include "logs/azure/credentials.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <map>

#include "base/testing/fake_clock.h"
#include "base/testing/faulty_file_system.h"
#include "logs/testing/run_awaitable.h"

namespace boxkeeper::logs::azure {
namespace {

constexpr char kKey[] = "c2VjcmV0LWtleQ==";  // secret-key

class CredentialsTest : public testing::Test {
 protected:
  remote::Environment environment() {
    return [this](const std::string& name) {
      const auto found = variables_.find(name);
      return found == variables_.end() ? std::string() : found->second;
    };
  }
  void Write(const std::string& path, const std::string& content) {
    ASSERT_TRUE(base::WriteFileAtomically(files_, path, content, 0600).ok());
  }
  absl::StatusOr<Credential> Load(const Settings& settings) {
    return LoadCredential(files_, settings, environment());
  }
  std::string Endpoint(const Settings& settings) {
    auto account = FindAccount(settings, environment());
    return account.ok()
               ? account->name + " " + account->endpoint.origin.ToString() + account->endpoint.path
               : std::string(account.status().message());
  }

  boost::asio::io_context context_;
  base::FakeClock clock_{context_};
  base::FaultyFileSystem files_;
  std::map<std::string, std::string> variables_;
};

TEST_F(CredentialsTest, TheAccountsEndpoint) {
  EXPECT_EQ(Endpoint({.account = "acme"}), "acme https://acme.blob.core.windows.net");
  EXPECT_EQ(Endpoint({.endpoint = "https://acme.blob.core.chinacloudapi.cn"}),
            "acme https://acme.blob.core.chinacloudapi.cn");
  EXPECT_EQ(Endpoint({.account = "dev", .endpoint = "http://127.0.0.1:10000/dev/"}),
            "dev http://127.0.0.1:10000/dev");
  variables_["AZURE_STORAGE_ACCOUNT"] = "fromenv";
  EXPECT_EQ(Endpoint({}), "fromenv https://fromenv.blob.core.windows.net");
  variables_["AZURE_STORAGE_CONNECTION_STRING"] =
      "DefaultEndpointsProtocol=https;AccountName=fromstring;AccountKey=a2V5;EndpointSuffix="
      "core.usgovcloudapi.net";
  EXPECT_EQ(Endpoint({}), "fromstring https://fromstring.blob.core.usgovcloudapi.net");
  EXPECT_EQ(Endpoint({.account = "acme"}), "acme https://acme.blob.core.windows.net");
}

TEST_F(CredentialsTest, SaysWhatIsMissing) {
  EXPECT_NE(Endpoint({}).find("Set logs.azure.account"), std::string::npos);
  EXPECT_NE(Endpoint({.account = "Not_A_Name"}).find("3 to 24 lower-case"), std::string::npos);
  EXPECT_NE(Endpoint({.account = "acme", .endpoint = "acme.net"}).find("logs.azure.endpoint"),
            std::string::npos);
  const auto none = Load({});
  EXPECT_TRUE(absl::IsUnauthenticated(none.status()));
  EXPECT_NE(std::string(none.status().message()).find("logs.azure.key_file"), std::string::npos);
}

TEST_F(CredentialsTest, FilesGoBeforeTheEnvironment) {
  variables_["AZURE_STORAGE_KEY"] = "b3RoZXI=";
  EXPECT_EQ(Load({})->key.view(), "other");
  Write("/key", std::string(kKey) + "\n");
  EXPECT_EQ(Load({.key_file = "/key"})->key.view(), "secret-key");
  Write("/sas", "?sv=2022-11-02&sp=racwdl&sig=abc%3D\n");
  const auto sas = Load({.sas_file = "/sas"});
  EXPECT_EQ(sas->sas.view(), "sv=2022-11-02&sp=racwdl&sig=abc%3D");
  EXPECT_TRUE(sas->key.empty());
}

TEST_F(CredentialsTest, TheEnvironmentsOrderIsThatOfTheAzureCli) {
  variables_["AZURE_STORAGE_SAS_TOKEN"] = "sig=3";
  EXPECT_EQ(Load({})->sas.view(), "sig=3");
  variables_["AZURE_STORAGE_KEY"] = "Mg==";
  EXPECT_EQ(Load({})->key.view(), "2");
  variables_["AZURE_STORAGE_CONNECTION_STRING"] = "AccountName=a;AccountKey=MQ==";
  EXPECT_EQ(Load({})->key.view(), "1");
  variables_["AZURE_STORAGE_CONNECTION_STRING"] =
      "BlobEndpoint=https://a.example;SharedAccessSignature=sv=1&sig=x";
  EXPECT_EQ(Load({})->sas.view(), "sv=1&sig=x");
}

TEST_F(CredentialsTest, TheDevelopmentStorageIsKnown) {
  variables_["AZURE_STORAGE_CONNECTION_STRING"] = "UseDevelopmentStorage=true";
  EXPECT_EQ(Endpoint({}), "devstoreaccount1 http://127.0.0.1:10000/devstoreaccount1");
  EXPECT_EQ(Load({})->key.size(), 64u);
}

TEST_F(CredentialsTest, NeverQuotesASecret) {
  Write("/key", "not base64 but secret!");
  Write("/sas", "hush-hush");
  for (const Settings& settings : {Settings{.key_file = "/key"}, Settings{.sas_file = "/sas"},
                                   Settings{.key_file = "/none"}}) {
    const auto bad = Load(settings);
    ASSERT_TRUE(absl::IsUnauthenticated(bad.status())) << bad.status();
    const std::string text(bad.status().message());
    EXPECT_EQ(text.find("secret!"), std::string::npos) << text;
    EXPECT_EQ(text.find("hush"), std::string::npos) << text;
    EXPECT_NE(text.find("logs.azure."), std::string::npos) << text;
  }
}

TEST_F(CredentialsTest, AReplacedFileIsReadWithinAMinuteOrWhenTheOldOneIsRefused) {
  CredentialSource source({clock_, files_, context_.get_executor()}, {.sas_file = "/sas"},
                          environment());
  const auto current = [&] {
    auto credential = RunAwaitable(context_, clock_, source.Get());
    return credential.ok() ? std::string((*credential)->sas.view())
                           : credential.status().ToString();
  };
  Write("/sas", "sig=1");
  EXPECT_EQ(current(), "sig=1");
  Write("/sas", "sig=2");
  EXPECT_EQ(current(), "sig=1");
  clock_.Advance(std::chrono::seconds(61));
  EXPECT_EQ(current(), "sig=2");
  Write("/sas", "sig=3");
  source.Refused();
  EXPECT_EQ(current(), "sig=3");
}

}  // namespace
}  // namespace boxkeeper::logs::azure
