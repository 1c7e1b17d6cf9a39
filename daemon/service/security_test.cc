#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "daemon/service/testing/fake_task_api.h"
#include "daemon/service/testing/service_test.h"
#include "daemon/service/testing/test_certificates.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"

namespace boxkeeper::daemon {
namespace {

using ::testing::HasSubstr;

using SecurityTest = ServiceTest;

grpc::Status Capacity(const std::shared_ptr<grpc::Channel>& channel,
                      const std::string& token = "") {
  CallContext context(token);
  v1::GetCapacityResponse response;
  return v1::Executor::NewStub(channel)->GetCapacity(&context, {}, &response);
}

TEST_F(SecurityTest, TheUnixSocketIsPrivateAndGoesWithTheServer) {
  Start();
  struct stat info{};
  ASSERT_EQ(stat(server_.socket_path().c_str(), &info), 0);
  EXPECT_TRUE(S_ISSOCK(info.st_mode));
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(SecurityTest, TokensAreAskedForOnTcpAlsoByReflectionAndNotOnTheUnixSocket) {
  GrpcServerOptions options;
  options.listen = {"127.0.0.1:0"};
  options.tokens_file = server_.WriteFile("tokens", "alice:s3cret-token\n");
  Start(options);
  const auto tcp = server_.TcpChannel(grpc::InsecureChannelCredentials());
  const grpc::Status missing = Capacity(tcp);
  EXPECT_EQ(missing.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(ReasonOf(missing), "TOKEN_MISSING");
  const grpc::Status wrong = Capacity(tcp, "guess");
  EXPECT_EQ(wrong.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(ReasonOf(wrong), "TOKEN_INVALID");
  EXPECT_TRUE(Capacity(tcp, "s3cret-token").ok());
  EXPECT_TRUE(Capacity(server_.Channel()).ok());
  {
    CallContext context;
    auto stream = v1::Executor::NewStub(tcp)->WatchEvents(&context, {});
    v1::WatchEventsResponse response;
    EXPECT_FALSE(stream->Read(&response));
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  }
  {
    CallContext context;
    v1::GetStatusResponse status;
    EXPECT_EQ(v1::Admin::NewStub(tcp)->GetStatus(&context, {}, &status).error_code(),
              grpc::StatusCode::UNAUTHENTICATED);
  }
  {
    CallContext context;
    auto stub = grpc::reflection::v1alpha::ServerReflection::NewStub(tcp);
    auto stream = stub->ServerReflectionInfo(&context);
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  }
  {
    CallContext context;
    v1::ListArtifactsResponse listed;
    EXPECT_EQ(v1::Executor::NewStub(tcp)->ListArtifacts(&context, {}, &listed).error_code(),
              grpc::StatusCode::UNAUTHENTICATED);
  }
  {
    CallContext context;
    auto stream = v1::Executor::NewStub(tcp)->ReadArtifact(&context, {});
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  }
  {
    CallContext context;
    v1::PutBlobResponse response;
    auto stream = v1::Executor::NewStub(tcp)->PutBlob(&context, &response);
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  }
  EXPECT_GE(server_.metrics().unauthenticated.load(), 8u);

  server_.WriteFile("tokens", "bob:other-token\n");
  ASSERT_TRUE(server_.server().Reload(std::nullopt, options.tokens_file).ok());
  EXPECT_FALSE(Capacity(tcp, "s3cret-token").ok());
  EXPECT_TRUE(Capacity(tcp, "other-token").ok());
  server_.WriteFile("tokens", "");
  EXPECT_FALSE(server_.server().Reload(std::nullopt, options.tokens_file).ok());
  EXPECT_TRUE(Capacity(tcp, "other-token").ok());
}

TEST_F(SecurityTest, AnOpenAddressWithoutTlsAndTokensIsRefused) {
  GrpcServerOptions options;
  options.listen = {"0.0.0.0:0"};
  EXPECT_TRUE(absl::IsFailedPrecondition(server_.Start(options)));
}

TEST_F(SecurityTest, AnAddressInUseIsNamed) {
  GrpcServerOptions options;
  options.listen = {"127.0.0.1:0"};
  Start(options);
  TestServer second;
  options.listen = {server_.server().addresses().at(1)};
  const absl::Status refused = second.Start(options);
  EXPECT_THAT(std::string(refused.message()), HasSubstr(options.listen[0]));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("in use"));
}

// TLS with certificates made for each test.
class TlsTest : public SecurityTest {
 protected:
  TlsFiles Write(const TestCertificate& server, bool client_certificates) {
    TlsFiles files;
    files.cert_file = server_.WriteFile("server.pem", server.cert_pem);
    files.key_file = server_.WriteFile("server.key", server.key_pem);
    if (client_certificates) {
      files.client_ca_file = server_.WriteFile("ca.pem", authority_.cert_pem());
    }
    return files;
  }

  std::shared_ptr<grpc::Channel> Connect(const std::string& root,
                                         const TestCertificate& client = {}) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = root;
    options.pem_cert_chain = client.cert_pem;
    options.pem_private_key = client.key_pem;
    return server_.TcpChannel(grpc::SslCredentials(options));
  }

  TestAuthority authority_;
  TestAuthority stranger_;
};

TEST_F(TlsTest, ClientsMustShowACertificateOfOurAuthority) {
  GrpcServerOptions options;
  options.listen = {"0.0.0.0:0"};
  options.tls = Write(authority_.Issue("server"), true);
  Start(options);
  EXPECT_TRUE(Capacity(Connect(authority_.cert_pem(), authority_.Issue("client"))).ok());
  EXPECT_EQ(Capacity(Connect(authority_.cert_pem())).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Capacity(Connect(authority_.cert_pem(), stranger_.Issue("thief"))).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Capacity(server_.TcpChannel(grpc::InsecureChannelCredentials())).error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TlsTest, WithTokensTlsAloneIsNotEnough) {
  GrpcServerOptions options;
  options.listen = {"0.0.0.0:0"};
  options.tls = Write(authority_.Issue("server"), false);
  options.tokens_file = server_.WriteFile("tokens", "s3cret-token\n");
  Start(options);
  const auto channel = Connect(authority_.cert_pem());
  EXPECT_EQ(Capacity(channel).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(Capacity(channel, "s3cret-token").ok());
}

TEST_F(TlsTest, ANewCertificateServesNewConnectionsAndDropsNoStream) {
  GrpcServerOptions options;
  options.listen = {"127.0.0.1:0"};
  options.tls = Write(authority_.Issue("server"), false);
  Start(options);
  const std::string id = Submit(1);
  const auto before = Connect(authority_.cert_pem());
  auto stub = v1::Executor::NewStub(before);
  v1::WatchEventsRequest watch;
  watch.set_follow(true);
  CallContext context;
  auto stream = stub->WatchEvents(&context, watch);
  stream->WaitForInitialMetadata();

  // Signed by another authority, so that clients can tell which one is in force.
  const TlsFiles files = Write(stranger_.Issue("server"), false);
  ASSERT_TRUE(server_.server().Reload(files, "").ok());
  EXPECT_TRUE(Capacity(Connect(stranger_.cert_pem())).ok());
  EXPECT_FALSE(Capacity(Connect(authority_.cert_pem())).ok());

  server_.OnLoop([&] { server_.api().AddEvent(id, "still here"); });
  v1::WatchEventsResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.events(0).task().message(), "still here");
  EXPECT_TRUE(Capacity(before).ok());
  context.TryCancel();
  stream->Finish();
}

TEST_F(TlsTest, ABadCertificateIsRefusedAndTheOldOneStays) {
  GrpcServerOptions options;
  options.listen = {"127.0.0.1:0"};
  options.tls = Write(authority_.Issue("server"), false);
  Start(options);
  TestCertificate mixed = authority_.Issue("server");
  mixed.key_pem = authority_.Issue("other").key_pem;
  const absl::Status mismatch = server_.server().Reload(Write(mixed, false), "");
  EXPECT_THAT(std::string(mismatch.message()), HasSubstr("not the key of the certificate"));
  const absl::Status expired =
      server_.server().Reload(Write(authority_.Issue("server", -10), false), "");
  EXPECT_THAT(std::string(expired.message()), HasSubstr("expired"));
  EXPECT_FALSE(server_.server().Reload(Write({"garbage", "garbage"}, false), "").ok());
  const absl::Status switched =
      server_.server().Reload(Write(authority_.Issue("server"), true), "");
  EXPECT_THAT(std::string(switched.message()), HasSubstr("restart"));
  EXPECT_TRUE(Capacity(Connect(authority_.cert_pem())).ok());
}

}  // namespace
}  // namespace boxkeeper::daemon
