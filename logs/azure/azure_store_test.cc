#include "logs/azure/azure_store.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/http/testing/fake_http_server.h"
#include "base/rng.h"
#include "base/testing/fake_clock.h"
#include "base/testing/faulty_file_system.h"
#include "logs/azure/testing/fake_blobs.h"
#include "logs/testing/store_contract.h"

namespace boxkeeper::logs {
namespace {

using azure::FakeBlobs;
using base::http::Answer;
using base::http::ReceivedRequest;

constexpr char kSas[] = "sv=2022-11-02&sp=racwdl&sig=hush-hush";

class AzureStoreTest : public testing::Test {
 protected:
  ObjectStore& store() {
    if (store_ == nullptr) {
      auto made = AzureStore::Create(
          {clock_, *rng_, files_, loop_.get_executor(), loop_.get_executor()}, "azure://logs/base",
          {.settings = {.account = "acme", .endpoint = server_.url()},
           .environment =
               [this](const std::string& name) {
                 const auto found = variables_.find(name);
                 return found == variables_.end() ? std::string() : found->second;
               },
           .block_bytes = 1000});
      EXPECT_TRUE(made.ok()) << made.status();
      store_ = *std::move(made);
    }
    return *store_;
  }
  StoreBench bench() {
    StoreBench bench(store(), loop_, [this] { clock_.Advance(std::chrono::seconds(1)); });
    bench.large_bytes = 20'000;
    return bench;
  }
  std::string ContentOf(const std::string& name) { return server_.blobs["base/" + name].content; }
  int Count(const std::string& part) {
    int count = 0;
    for (const auto& request : server_.requests()) {
      count += absl::StrContains(request.method + " " + request.target, part) ? 1 : 0;
    }
    return count;
  }

  boost::asio::io_context loop_;
  base::FakeClock clock_{loop_};
  std::unique_ptr<base::Rng> rng_ = base::MakeSeededRng(1);
  base::FaultyFileSystem files_;
  std::map<std::string, std::string> variables_ = {{"AZURE_STORAGE_KEY", "c2VjcmV0LWtleQ=="}};
  FakeBlobs server_{loop_};
  std::unique_ptr<AzureStore> store_;
};

class AzureContractTest : public AzureStoreTest, public testing::WithParamInterface<StoreCase> {};
TEST_P(AzureContractTest, Holds) {
  StoreBench under_test = bench();
  GetParam().run(under_test);
}
INSTANTIATE_TEST_SUITE_P(All, AzureContractTest, testing::ValuesIn(StoreCases(true)),
                         [](const auto& info) { return info.param.name; });

TEST_F(AzureStoreTest, RefusesBadUrlsAndMissingAccounts) {
  const AzureStore::Deps deps{clock_, *rng_, files_, loop_.get_executor(), loop_.get_executor()};
  const remote::Environment nothing = [](const std::string&) { return std::string(); };
  EXPECT_TRUE(absl::IsInvalidArgument(
      AzureStore::Create(deps, "s3://x", {.settings = {}, .environment = nothing}).status()));
  const auto status =
      AzureStore::Create(deps, "azure://logs", {.settings = {}, .environment = nothing}).status();
  EXPECT_TRUE(absl::StrContains(status.message(), "logs.azure.account")) << status;
}

TEST_F(AzureStoreTest, AnAppendWhoseAnswerIsLostIsStoredOnce) {
  int lose = 1;
  server_.after = [&](const ReceivedRequest& request, Answer& answer) {
    if (absl::StrContains(request.target, "appendblock") && lose-- > 0) {
      answer = {.pieces = {}, .close = true};
    }
  };
  StoreBench run = bench();
  ASSERT_TRUE(run.Write("x", 0, "line 1\n").ok());
  lose = 1;
  ASSERT_TRUE(run.Write("x", 7, "line 2\n").ok());
  EXPECT_EQ(ContentOf("x"), "line 1\nline 2\n");
}

TEST_F(AzureStoreTest, ABlobThatIsFullGoesOnInFewerLargerBlocks) {
  server_.blocks_max = 7;
  server_.copy_polls = 3;
  StoreBench run = bench();
  std::string expected;
  for (int i = 0; i < 60; ++i) {
    const std::string line = absl::StrCat("line ", i, "\n");
    const absl::Status written = run.Write("x", expected.size(), line);
    ASSERT_TRUE(written.ok()) << written;
    expected += line;
    ASSERT_EQ(ContentOf("x"), expected);
  }
  EXPECT_TRUE(run.Run(store().Sync("x", expected.size())).ok());
  EXPECT_EQ(server_.blobs.size(), 1u) << "temporary blobs are deleted";
}

TEST_F(AzureStoreTest, ABlobThatCannotBeMadeSmallerIsReported) {
  server_.blocks_max = 3;
  StoreBench run = bench();
  ASSERT_TRUE(run.Write("x", 0, std::string(3000, 'x')).ok());
  const absl::Status full = run.Write("x", 3000, "y");
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  EXPECT_EQ(ContentOf("x"), std::string(3000, 'x'));
}

TEST_F(AzureStoreTest, ABusyServerIsAskedAgain) {
  int busy = 2;
  server_.before = [&](const ReceivedRequest&) -> std::optional<Answer> {
    if (busy-- > 0) return server_.Error(503, "ServerBusy", "Retry-After: 2\r\n");
    return std::nullopt;
  };
  StoreBench run = bench();
  const auto start = clock_.Boot();
  EXPECT_TRUE(run.Run(store().Put(PieceOf("p", "text"))).ok());
  EXPECT_EQ(ContentOf("p"), "text");
  EXPECT_GE(clock_.Boot() - start, std::chrono::seconds(4));
}

TEST_F(AzureStoreTest, AServerThatStaysDownIsUnavailable) {
  server_.before = [&](const ReceivedRequest&) { return server_.Error(500, "InternalError"); };
  const absl::Status status = bench().Run(store().Put(PieceOf("p", "text")));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
}

TEST_F(AzureStoreTest, BytesWithAWrongChecksumOrCutShortAreReadAgain) {
  StoreBench run = bench();
  ASSERT_TRUE(run.Run(store().Put(PieceOf("p", "some text"))).ok());
  int bad = 1;
  server_.after = [&](const ReceivedRequest& request, Answer& answer) {
    if (request.method == "GET" && bad-- > 0)
      answer.close = true, answer.pieces[0].resize(answer.pieces[0].size() - 2);
  };
  EXPECT_EQ(*run.Run(store().Read("p", 0, 100)), "some text");
  bad = 1;
  server_.after = [&](const ReceivedRequest& request, Answer& answer) {
    if (request.method == "GET" && bad-- > 0) answer.pieces[0].back() ^= 1;
  };
  EXPECT_EQ(*run.Run(store().Read("p", 0, 100)), "some text");
}

TEST_F(AzureStoreTest, AWrongKeyAMissingContainerAndAPermissionAreSaidWithWhatToFix) {
  const std::pair<Answer, const char*> answers[] = {
      {server_.Error(403, "AuthenticationFailed"), "of account 'acme'"},
      {server_.Error(403, "AuthorizationPermissionMismatch"), "sp=racwdl"},
      {server_.Error(404, "ContainerNotFound"), "create the container 'logs'"}};
  for (const auto& [answer, words] : answers) {
    server_.before = [&answer = answer](const ReceivedRequest&) { return answer; };
    const absl::Status status = bench().Run(store().Check());
    EXPECT_TRUE(absl::StrContains(status.message(), words)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "logs.url azure://logs/base")) << status;
    EXPECT_FALSE(absl::IsNotFound(status)) << status;
  }
  EXPECT_EQ(Count("PUT"), 3) << "nothing of that is tried again at once";
}

TEST_F(AzureStoreTest, AClockThatIsOffIsCorrectedByTheServers) {
  server_.date = absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", clock_.Now() + absl::Hours(2),
                                  absl::UTCTimeZone());
  server_.before = [&](const ReceivedRequest& request) -> std::optional<Answer> {
    if (azure::HeaderIn(request, "x-ms-date") == server_.date) return std::nullopt;
    return server_.Error(403, "AuthenticationFailed");
  };
  StoreBench run = bench();
  EXPECT_TRUE(run.Run(store().Put(PieceOf("p", "text"))).ok());
  server_.before = [&](const ReceivedRequest&) {
    return server_.Error(403, "AuthenticationFailed");
  };
  const absl::Status status = run.Run(store().Put(PieceOf("p", "text")));
  EXPECT_TRUE(absl::StrContains(status.message(), "clock is 2h off")) << status;
}

TEST_F(AzureStoreTest, ASasIsSentAndNeverShown) {
  variables_ = {{"AZURE_STORAGE_SAS_TOKEN", kSas}};
  StoreBench run = bench();
  ASSERT_TRUE(run.Write("x", 0, "123456").ok());
  ASSERT_TRUE(run.Run(store().Sync("x", 3)).ok());
  EXPECT_EQ(ContentOf("x"), "123");
  for (const auto& request : server_.requests()) {
    EXPECT_TRUE(absl::StrContains(request.target, kSas)) << request.target;
    EXPECT_EQ(azure::HeaderIn(request, "Authorization"), "");
  }
  server_.before = [&](const ReceivedRequest&) {
    return server_.Error(403, "AuthenticationFailed");
  };
  const absl::Status refused = run.Run(store().Check());
  EXPECT_FALSE(absl::StrContains(refused.ToString(), "hush")) << refused;
  server_.before = [&](const ReceivedRequest&) { return Answer{.pieces = {}, .close = true}; };
  const absl::Status cut = run.Run(store().Check());
  EXPECT_TRUE(absl::IsUnavailable(cut)) << cut;
  EXPECT_FALSE(absl::StrContains(cut.ToString(), "hush")) << cut;
}

TEST_F(AzureStoreTest, CheckSweepsWhatADaemonThatDiedLeftBehind) {
  server_.date = absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", clock_.Now(), absl::UTCTimeZone());
  server_.blobs["base/_boxkeeper/tmp/old"].modified = absl::FormatTime(
      "%a, %d %b %Y %H:%M:%S GMT", clock_.Now() - absl::Hours(25), absl::UTCTimeZone());
  server_.blobs["base/_boxkeeper/tmp/new"].modified = server_.date;
  server_.blobs["base/task/stdout"].modified = "Sat, 21 Nov 2020 12:00:00 GMT";
  const absl::Status checked = bench().Run(store().Check());
  ASSERT_TRUE(checked.ok()) << checked;
  EXPECT_EQ(server_.blobs.count("base/_boxkeeper/tmp/old"), 0u);
  EXPECT_EQ(server_.blobs.size(), 2u);
}

}  // namespace
}  // namespace boxkeeper::logs
