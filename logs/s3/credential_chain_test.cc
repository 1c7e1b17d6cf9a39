#include "logs/s3/credential_chain.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <map>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/http/testing/fake_http_server.h"
#include "base/testing/fake_clock.h"
#include "base/testing/faulty_file_system.h"

namespace boxkeeper::logs::s3 {
namespace {

using base::http::Answer;
using base::http::FakeHttpServer;
using base::http::Ok;
using base::http::ReceivedRequest;

std::string Json(const std::string& id, const std::string& expires) {
  return absl::StrCat(R"({"Code":"Success","AccessKeyId":")", id,
                      R"(","SecretAccessKey":"hush","Token":"token","Expiration":")", expires,
                      "\"}");
}

class CredentialChainTest : public ::testing::Test {
 protected:
  ~CredentialChainTest() override { clock_.RunUntilIdle(); }

  absl::StatusOr<Credentials> Get() {
    if (keeper_ == nullptr) {
      remote::Environment environment = [this](const std::string& name) {
        return variables_[name];
      };
      RemoteDeps deps{{files_, loop_.get_executor(), std::move(environment)},
                      clock_,
                      *rng_,
                      loop_.get_executor()};
      keeper_ = MakeCredentialKeeper(std::move(deps), options_);
    }
    std::optional<absl::StatusOr<Credentials>> result;
    boost::asio::co_spawn(loop_, keeper_->Get(),
                          [&result](std::exception_ptr, absl::StatusOr<Credentials> got) {
                            result = std::move(got);
                          });
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!result && std::chrono::steady_clock::now() < until) {
      loop_.restart();
      if (loop_.run_one_for(std::chrono::milliseconds(10)) == 0) {
        clock_.Advance(std::chrono::milliseconds(500));
      }
    }
    return result ? *std::move(result) : absl::InternalError("no answer");
  }
  std::string IdOf(const absl::StatusOr<Credentials>& got) {
    return got.ok() ? got->access_key_id : got.status().ToString();
  }
  void Write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(files_.MakeDirectories(base::ParentDirectory(path), 0700).ok());
    ASSERT_TRUE(base::WriteFileAtomically(files_, path, text, 0600).ok());
  }
  std::string In(absl::Duration time) {
    return absl::FormatTime(absl::RFC3339_sec, clock_.Now() + time, absl::UTCTimeZone());
  }
  std::string Bodies() {
    std::string all;
    for (const ReceivedRequest& request : server_.requests()) {
      absl::StrAppend(&all, request.method, " ", request.target, "\n", request.head, request.body,
                      "\n");
    }
    return all;
  }

  boost::asio::io_context loop_;
  base::FakeClock clock_{loop_};
  std::unique_ptr<base::Rng> rng_ = base::MakeSeededRng(1);
  base::FaultyFileSystem files_;
  std::map<std::string, std::string> variables_ = {{"HOME", "/home/u"},
                                                   {"AWS_EC2_METADATA_DISABLED", "true"}};
  CredentialOptions options_{"", "", "", "us-east-1"};
  std::function<Answer(const ReceivedRequest&)> serve_ = [](const ReceivedRequest&) {
    return Ok("");
  };
  FakeHttpServer server_{loop_,
                         [this](const ReceivedRequest& request) { return serve_(request); },
                         {.body_first = true}};
  std::unique_ptr<CredentialKeeper> keeper_;
};

TEST_F(CredentialChainTest, NoneAnywhereSaysWhereItLooked) {
  const absl::Status status = Get().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "AWS_ACCESS_KEY_ID is not set")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "the profile 'default' is not in")) << status;
}

TEST_F(CredentialChainTest, TheEnvironmentComesBeforeProfiles) {
  Write("/home/u/.aws/credentials", "[default]\naws_access_key_id=FILE\naws_secret_access_key=s\n");
  EXPECT_EQ(IdOf(Get()), "FILE");
  keeper_.reset();
  variables_["AWS_ACCESS_KEY_ID"] = "ENV";
  EXPECT_TRUE(absl::IsInvalidArgument(Get().status())) << "half of a pair";
  variables_["AWS_SECRET_ACCESS_KEY"] = "s";
  variables_["AWS_SESSION_TOKEN"] = "t";
  const auto got = Get();
  EXPECT_EQ(IdOf(got), "ENV");
  EXPECT_EQ(got->session_token->view(), "t");
}

TEST_F(CredentialChainTest, AConfiguredProfileComesBeforeTheEnvironment) {
  variables_["AWS_ACCESS_KEY_ID"] = "ENV";
  variables_["AWS_SECRET_ACCESS_KEY"] = "s";
  Write("/home/u/.aws/config",
        "[profile p]\naws_access_key_id=P\naws_secret_access_key=s\n"
        "[profile role]\nrole_arn=x\nsource_profile=p\n");
  options_.profile = "p";
  EXPECT_EQ(IdOf(Get()), "P");
  keeper_.reset();
  options_.profile = "role";
  EXPECT_TRUE(
      absl::StrContains(Get().status().message(), "source_profile, which is not supported"));
  keeper_.reset();
  options_.profile = "none";
  EXPECT_TRUE(absl::IsFailedPrecondition(Get().status()));
}

TEST_F(CredentialChainTest, ConfiguredFilesAreTheOnlyPlace) {
  variables_["AWS_ACCESS_KEY_ID"] = "ENV";
  variables_["AWS_SECRET_ACCESS_KEY"] = "s";
  options_.access_key_file = "/run/key";
  options_.secret_key_file = "/run/secret";
  const absl::Status status = Get().status();
  EXPECT_TRUE(absl::StrContains(status.message(), "cannot read /run/key")) << status;
  Write("/run/key", " FILE \n");
  Write("/run/secret", "\n");
  EXPECT_TRUE(absl::StrContains(Get().status().message(), "/run/secret is empty"));
  Write("/run/secret", "s\r\n");
  const auto got = Get();
  EXPECT_EQ(IdOf(got), "FILE");
  EXPECT_EQ(got->secret_key->view(), "s");
}

TEST_F(CredentialChainTest, WebIdentity) {
  variables_["AWS_WEB_IDENTITY_TOKEN_FILE"] = "/var/run/token";
  variables_["AWS_ROLE_ARN"] = "arn:aws:iam::1:role/logs";
  variables_["AWS_ENDPOINT_URL_STS"] = server_.url();
  Write("/var/run/token", "jwt.of/eks\n");
  serve_ = [this](const ReceivedRequest&) {
    return Ok(absl::StrCat(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
        "<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA</AccessKeyId>"
        "<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>",
        In(absl::Hours(1)),
        "</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
        "</AssumeRoleWithWebIdentityResponse>"));
  };
  const auto got = Get();
  EXPECT_EQ(IdOf(got), "ASIA");
  EXPECT_EQ(server_.requests()[0].body,
            "Action=AssumeRoleWithWebIdentity&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Flogs"
            "&RoleSessionName=boxkeeper&Version=2011-06-15&WebIdentityToken=jwt.of%2Feks");
}

TEST_F(CredentialChainTest, AWebIdentityThatIsRefusedIsSaidWithoutTheToken) {
  variables_["AWS_WEB_IDENTITY_TOKEN_FILE"] = "/var/run/token";
  variables_["AWS_ROLE_ARN"] = "arn:role";
  variables_["AWS_ENDPOINT_URL_STS"] = server_.url();
  Write("/var/run/token", "jwt.secret\n");
  const std::string body =
      "<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not authorized.</Message></Error>"
      "</ErrorResponse>";
  serve_ = [body](const ReceivedRequest&) {
    return Answer{.pieces = {absl::StrCat("HTTP/1.1 403 No\r\nContent-Length: ", body.size(),
                                          "\r\n\r\n", body)}};
  };
  const absl::Status status = Get().status();
  EXPECT_TRUE(absl::IsUnauthenticated(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "AccessDenied: Not authorized.")) << status;
  EXPECT_FALSE(absl::StrContains(status.ToString(), "jwt.secret"));
}

TEST_F(CredentialChainTest, AContainersAgentWithAToken) {
  variables_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = server_.url() + "/v1/credentials?x=1";
  variables_["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = "/var/run/token";
  Write("/var/run/token", "pod-token\n");
  serve_ = [this](const ReceivedRequest&) { return Ok(Json("CONTAINER", In(absl::Hours(1)))); };
  EXPECT_EQ(IdOf(Get()), "CONTAINER");
  EXPECT_TRUE(absl::StrContains(Bodies(), "GET /v1/credentials?x=1\n")) << Bodies();
  EXPECT_TRUE(absl::StrContains(Bodies(), "Authorization: pod-token")) << Bodies();
}

TEST_F(CredentialChainTest, AContainersAgentElsewhereIsNotAskedWithoutTls) {
  for (const char* url :
       {"http://10.0.0.1/x", "http://169.254.169.254/x", "http://example.com/x"}) {
    variables_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = url;
    EXPECT_TRUE(absl::IsInvalidArgument(Get().status())) << url;
  }
}

class InstanceTest : public CredentialChainTest {
 protected:
  InstanceTest() {
    variables_["AWS_EC2_METADATA_DISABLED"] = "";
    variables_["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = server_.url();
    serve_ = [this](const ReceivedRequest& request) {
      if (request.target == "/latest/api/token") return Ok("session");
      if (request.target.ends_with("/security-credentials/")) return Ok("my-role");
      return Ok(Json(absl::StrCat("KEY", ++fetched_), In(lifetime_)));
    };
  }

  int fetched_ = 0;
  absl::Duration lifetime_ = absl::Hours(6);
};

TEST_F(InstanceTest, AsksWithASessionAsImdsV2Wants) {
  const auto got = Get();
  EXPECT_EQ(IdOf(got), "KEY1");
  EXPECT_EQ(got->source, "the EC2 instance's role 'my-role'");
  ASSERT_EQ(server_.requests().size(), 3u);
  EXPECT_EQ(server_.requests()[0].method, "PUT");
  EXPECT_TRUE(absl::StrContains(server_.requests()[2].head, "X-aws-ec2-metadata-token: session"));
  EXPECT_EQ(server_.requests()[2].target, "/latest/meta-data/iam/security-credentials/my-role");
}

TEST_F(InstanceTest, RenewsSomeMinutesBeforeTheEnd) {
  lifetime_ = absl::Minutes(60);
  EXPECT_EQ(IdOf(Get()), "KEY1");
  clock_.Advance(std::chrono::minutes(54));
  EXPECT_EQ(IdOf(Get()), "KEY1");
  clock_.Advance(std::chrono::minutes(2));
  EXPECT_EQ(IdOf(Get()), "KEY2");
}

TEST_F(InstanceTest, WhatStillLastsIsUsedWhileNewOnesCannotBeHad) {
  lifetime_ = absl::Minutes(60);
  EXPECT_EQ(IdOf(Get()), "KEY1");
  serve_ = [](const ReceivedRequest&) {
    return Answer{.pieces = {"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"}};
  };
  clock_.Advance(std::chrono::minutes(56));
  EXPECT_EQ(IdOf(Get()), "KEY1");
  clock_.Advance(std::chrono::minutes(10));
  const absl::Status status = Get().status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << "it had a role before: " << status;
}

TEST_F(InstanceTest, AMachineWithoutTheServiceHasNoCredentials) {
  variables_["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "http://127.0.0.1:1";
  const absl::Status status = Get().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "no EC2 metadata service answers")) << status;
}

TEST_F(InstanceTest, ManyWhoWaitAskOnce) {
  int answered = 0;
  Get().IgnoreError();
  clock_.Advance(std::chrono::hours(7));
  for (int i = 0; i < 20; ++i) {
    boost::asio::co_spawn(loop_, keeper_->Get(),
                          [&](std::exception_ptr, const absl::StatusOr<Credentials>& got) {
                            EXPECT_EQ(IdOf(got), "KEY2");
                            ++answered;
                          });
  }
  EXPECT_EQ(IdOf(Get()), "KEY2");
  clock_.RunUntilIdle();
  EXPECT_EQ(answered, 20);
  EXPECT_EQ(fetched_, 2);
}

TEST_F(InstanceTest, AnswersThatAreNoneAreNotRepeated) {
  const auto none = [](const ReceivedRequest&) { return Ok("{\"SecretAccessKey\": \"hush\"}"); };
  const auto whole = serve_;
  for (const bool as_role : {true, false}) {
    serve_ = [=](const ReceivedRequest& request) {
      const bool lists = request.target.ends_with("/security-credentials/");
      return lists != as_role ? whole(request) : none(request);
    };
    const absl::Status status = Get().status();
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_FALSE(absl::StrContains(status.ToString(), "hush")) << status;
  }
}

}  // namespace
}  // namespace boxkeeper::logs::s3
