#include "logs/gcs/gcs_store.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/http/testing/fake_http_server.h"
#include "base/rng.h"
#include "base/testing/fake_clock.h"
#include "base/testing/faulty_file_system.h"
#include "logs/gcs/testing/fake_gcs.h"
#include "logs/gcs/testing/test_key.h"
#include "logs/testing/store_contract.h"

namespace boxkeeper::logs {
namespace {

using base::http::Answer;
using base::http::ReceivedRequest;
using gcs::FakeGcs;

constexpr size_t kBlock = 256 * 1024;

std::string HttpDate(absl::Time time) {
  return absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", time, absl::UTCTimeZone());
}

class GcsStoreTest : public testing::Test {
 protected:
  GcsStoreTest() {
    EXPECT_TRUE(base::WriteFileAtomically(files_, "/key.json",
                                          gcs::TestKeyFile(server_.url() + "/token"), 0600)
                    .ok());
  }
  ObjectStore& store() {
    if (store_ == nullptr) {
      auto made = GcsStore::Create(
          {clock_, *rng_, files_, loop_.get_executor(), loop_.get_executor()}, "gs://logs/base",
          {.settings = {.credentials_file = "/key.json", .endpoint = server_.url()},
           .environment = [](const std::string&) { return std::string(); },
           .block_bytes = kBlock});
      EXPECT_TRUE(made.ok()) << made.status();
      store_ = *std::move(made);
    }
    return *store_;
  }
  StoreBench bench() {
    StoreBench bench(store(), loop_, [this] { clock_.Advance(std::chrono::seconds(1)); });
    bench.large_bytes = 3 * kBlock + 5;
    return bench;
  }
  std::string ContentOf(const std::string& name) { return server_.objects["base/" + name].content; }

  boost::asio::io_context loop_;
  base::FakeClock clock_{loop_};
  std::unique_ptr<base::Rng> rng_ = base::MakeSeededRng(1);
  base::FaultyFileSystem files_;
  FakeGcs server_{loop_};
  std::unique_ptr<GcsStore> store_;
};

class GcsContractTest : public GcsStoreTest, public testing::WithParamInterface<StoreCase> {};
TEST_P(GcsContractTest, Holds) {
  StoreBench under_test = bench();
  GetParam().run(under_test);
}
INSTANTIATE_TEST_SUITE_P(All, GcsContractTest, testing::ValuesIn(StoreCases(false)),
                         [](const auto& info) { return info.param.name; });

TEST_F(GcsStoreTest, OneTokenIsFetchedForAllAndAnotherBeforeItExpires) {
  StoreBench run = bench();
  int done = 0;
  for (int i = 0; i < 5; ++i) {
    boost::asio::co_spawn(loop_, store().List(""), [&](std::exception_ptr, auto listed) {
      EXPECT_TRUE(listed.ok());
      ++done;
    });
  }
  ASSERT_TRUE(run.Run(store().List("")).ok());
  while (done < 5) ASSERT_TRUE(run.Run(store().List("")).ok());
  EXPECT_EQ(server_.tokens, 1);
  clock_.Advance(std::chrono::minutes(54));
  ASSERT_TRUE(run.Run(store().List("")).ok());
  EXPECT_EQ(server_.tokens, 1);
  clock_.Advance(std::chrono::minutes(2));
  ASSERT_TRUE(run.Run(store().List("")).ok());
  EXPECT_EQ(server_.tokens, 2);
}

TEST_F(GcsStoreTest, ATokenThatIsGoodIsUsedWhileNoOtherCanBeHad) {
  StoreBench run = bench();
  ASSERT_TRUE(run.Run(store().List("")).ok());
  server_.before = [&](const ReceivedRequest& request) -> std::optional<Answer> {
    if (request.target == "/token") return server_.Error(503, "backendError", "later");
    return std::nullopt;
  };
  clock_.Advance(std::chrono::minutes(56));
  EXPECT_TRUE(run.Run(store().List("")).ok());
  clock_.Advance(std::chrono::minutes(5));
  EXPECT_TRUE(absl::IsUnavailable(run.Run(store().List("")).status()));
}

TEST_F(GcsStoreTest, ATokenThatIsRefusedIsReplaced) {
  StoreBench run = bench();
  ASSERT_TRUE(run.Run(store().List("")).ok());
  ++server_.tokens;  // the server forgets the one that it gave out
  EXPECT_TRUE(run.Run(store().Put(PieceOf("p", "text"))).ok());
  EXPECT_EQ(ContentOf("p"), "text");
}

TEST_F(GcsStoreTest, AClockThatIsOffIsCorrectedByTheServers) {
  server_.date = HttpDate(clock_.Now() + absl::Hours(3));
  int refused = 0;
  server_.before = [&](const ReceivedRequest& request) -> std::optional<Answer> {
    if (request.target != "/token" || refused++ > 0) return std::nullopt;
    return server_.Make(400, "", R"({"error":"invalid_grant","error_description":"Invalid JWT"})");
  };
  EXPECT_TRUE(bench().Run(store().List("")).ok());
  EXPECT_EQ(refused, 2);
}

TEST_F(GcsStoreTest, AnUploadGoesOnWhereItWasCut) {
  StoreBench run = bench();
  for (int lost = 1; lost <= 5; ++lost) {
    int count = 0;
    const auto hit = [&](const ReceivedRequest& request) {
      return request.method == "PUT" && ++count == lost;
    };
    // Once the request is lost, once its answer.
    server_.before = [&](const ReceivedRequest& request) -> std::optional<Answer> {
      return hit(request) ? std::optional(Answer{.pieces = {}, .close = true}) : std::nullopt;
    };
    const absl::Status cut = run.Run(store().Put(LargePiece("l", run.large_bytes)));
    ASSERT_TRUE(cut.ok()) << cut;
    EXPECT_TRUE(ContentOf("l") == LargeContent(run.large_bytes));
    server_.before = nullptr;
    count = 0;
    server_.after = [&](const ReceivedRequest& request, Answer& answer) {
      if (hit(request)) answer = {.pieces = {}, .close = true};
    };
    server_.objects.clear();
    const absl::Status unanswered = run.Run(store().Put(LargePiece("l", run.large_bytes)));
    // Of the last one nobody can ask any more in this fake; the shipper tries again as a whole.
    EXPECT_TRUE(unanswered.ok() || absl::IsUnavailable(unanswered)) << unanswered;
    EXPECT_TRUE(ContentOf("l") == LargeContent(run.large_bytes));
    server_.after = nullptr;
  }
}

TEST_F(GcsStoreTest, AnUploadThatIsGivenUpIsCancelled) {
  Piece wrong = LargePiece("l", 2 * kBlock + 1);
  wrong.sha256[0] ^= 1;
  EXPECT_TRUE(absl::IsDataLoss(bench().Run(store().Put(wrong))));
  EXPECT_EQ(server_.Count("DELETE /upload"), 1);
  EXPECT_TRUE(server_.uploads.empty());
  EXPECT_TRUE(server_.objects.empty());
}

TEST_F(GcsStoreTest, AnExtensionWhoseAnswerIsLostHappensOnce) {
  StoreBench run = bench();
  ASSERT_TRUE(run.Run(store().Put(PieceOf("o", "hello "))).ok());
  int lose = 1;
  server_.after = [&](const ReceivedRequest& request, Answer& answer) {
    if (absl::StrContains(request.target, "/compose") && lose-- > 0) {
      answer = {.pieces = {}, .close = true};
    }
  };
  const absl::Status extended = run.Run(store().Extend(6, PieceOf("o", "world")));
  EXPECT_TRUE(extended.ok()) << extended;
  EXPECT_EQ(ContentOf("o"), "hello world");
  EXPECT_EQ(server_.objects.size(), 1u) << "temporary objects are deleted";
}

TEST_F(GcsStoreTest, BytesWithAWrongChecksumOrCutShortAreReadAgain) {
  StoreBench run = bench();
  ASSERT_TRUE(run.Run(store().Put(PieceOf("p", "some text"))).ok());
  int bad = 2;
  server_.after = [&](const ReceivedRequest& request, Answer& answer) {
    if (!absl::StrContains(request.target, "alt=media") || bad == 0) return;
    if (bad-- == 2) {
      answer.pieces[0].back() ^= 1;
    } else {
      answer.pieces[0].resize(answer.pieces[0].size() - 2);
      answer.close = true;
    }
  };
  EXPECT_EQ(*run.Run(store().Read("p", 0, 100)), "some text");
  EXPECT_EQ(bad, 0);
}

TEST_F(GcsStoreTest, MistakesAreSaidWithWhatToFix) {
  const std::pair<Answer, const char*> answers[] = {
      {server_.Error(403, "forbidden", "no access"), "storage.objectUser on bucket 'logs'"},
      {server_.Error(404, "notFound", "The specified bucket does not exist."),
       "create the bucket 'logs'"},
      {server_.Error(404, "notFound", "Not Found"), "create the bucket 'logs'"}};
  for (const auto& [answer, words] : answers) {
    server_.before = [&](const ReceivedRequest& request) -> std::optional<Answer> {
      return request.target == "/token" ? std::nullopt : std::optional(answer);
    };
    const absl::Status status = bench().Run(store().Check());
    EXPECT_TRUE(absl::StrContains(status.message(), words)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "logs.url gs://logs/base")) << status;
    EXPECT_FALSE(absl::IsNotFound(status)) << status;
  }
}

TEST_F(GcsStoreTest, ABadKeyIsSaidWithItsFileAndNoSecret) {
  server_.before = [&](const ReceivedRequest&) {
    return server_.Make(
        400, "", R"({"error":"invalid_grant","error_description":"Invalid JWT Signature."})");
  };
  const absl::Status status = bench().Run(store().Check());
  EXPECT_TRUE(absl::IsUnauthenticated(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "logs.gcs.credentials_file: /key.json"))
      << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "Invalid JWT Signature")) << status;
  EXPECT_FALSE(absl::StrContains(status.message(), "PRIVATE")) << status;
}

TEST_F(GcsStoreTest, TheServerMayAskForPatience) {
  int busy = 2;
  server_.before = [&](const ReceivedRequest& request) -> std::optional<Answer> {
    if (request.target == "/token" || busy-- <= 0) return std::nullopt;
    return server_.Error(busy == 1 ? 429 : 503, "rateLimitExceeded", "slow down");
  };
  EXPECT_TRUE(bench().Run(store().Put(PieceOf("p", "text"))).ok());
  EXPECT_EQ(ContentOf("p"), "text");
}

TEST_F(GcsStoreTest, CheckSweepsWhatADaemonThatDiedLeftBehind) {
  const auto stamp = [&](absl::Duration age) {
    return absl::FormatTime(absl::RFC3339_sec, clock_.Now() - age, absl::UTCTimeZone());
  };
  server_.objects["base/_boxkeeper/tmp/old"].updated = stamp(absl::Hours(25));
  server_.objects["base/_boxkeeper/tmp/new"].updated = stamp(absl::Hours(1));
  server_.objects["base/task/stdout"].updated = stamp(absl::Hours(1000));
  const absl::Status checked = bench().Run(store().Check());
  ASSERT_TRUE(checked.ok()) << checked;
  EXPECT_EQ(server_.objects.count("base/_boxkeeper/tmp/old"), 0u);
  EXPECT_EQ(server_.objects.size(), 2u);
}

}  // namespace
}  // namespace boxkeeper::logs
