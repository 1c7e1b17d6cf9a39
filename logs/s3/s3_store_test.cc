#include "logs/s3/s3_store.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/testing/fake_clock.h"
#include "base/testing/faulty_file_system.h"
#include "logs/s3/testing/fake_s3.h"
#include "logs/testing/store_contract.h"

namespace boxkeeper::logs::s3 {
namespace {

using base::http::Answer;
using base::http::ReceivedRequest;
using std::chrono::seconds;

const Answer kHangUp = {.pieces = {}, .close = true};

class S3StoreTest : public testing::Test {
 protected:
  S3StoreTest() {
    options_.url = "s3://logs/base";
    options_.endpoint = server_.url();
    options_.part_bytes = 1000;
    options_.copy_min = 500;
    server_.now = [this] { return clock_.Now(); };
  }
  ~S3StoreTest() override {
    store_.reset();
    clock_.RunUntilIdle();
  }

  S3Store& store() {
    if (store_ == nullptr) {
      remote::Environment environment = [this](const std::string& name) {
        return variables_[name];
      };
      auto made = S3Store::Create({clock_, *rng_, files_, loop_.get_executor(),
                                   loop_.get_executor(), std::move(environment)},
                                  options_);
      EXPECT_TRUE(made.ok()) << made.status();
      store_ = *std::move(made);
    }
    return *store_;
  }
  StoreBench bench() {
    StoreBench bench(store(), loop_, [this] { clock_.Advance(seconds(1)); });
    bench.large_bytes = 20'000;
    return bench;
  }
  template <typename T>
  T Run(boost::asio::awaitable<T> call) {
    return bench().Run(std::move(call));
  }
  absl::Status Put(const std::string& name, const std::string& content) {
    return Run(store().Put(PieceOf(name, content)));
  }
  std::string ContentOf(const std::string& name) { return server_.objects["base/" + name].content; }
  // The first `times` requests that begin with `start` are answered so.
  void FailFirst(const std::string& start, int times, Answer answer) {
    server_.before = [start, left = std::make_shared<int>(times),
                      answer](const ReceivedRequest& request) -> std::optional<Answer> {
      const bool meant = absl::StartsWith(request.method + " " + request.target, start);
      return meant && (*left)-- > 0 ? std::optional(answer) : std::nullopt;
    };
  }

  boost::asio::io_context loop_;
  base::FakeClock clock_{loop_};
  std::unique_ptr<base::Rng> rng_ = base::MakeSeededRng(1);
  base::FaultyFileSystem files_;
  std::map<std::string, std::string> variables_ = {{"AWS_ACCESS_KEY_ID", "AKID"},
                                                   {"AWS_SECRET_ACCESS_KEY", "sesame"},
                                                   {"AWS_EC2_METADATA_DISABLED", "true"}};
  FakeS3 server_{loop_};
  S3StoreOptions options_;
  std::unique_ptr<S3Store> store_;
};

class S3ContractTest : public S3StoreTest, public testing::WithParamInterface<StoreCase> {};
TEST_P(S3ContractTest, Holds) {
  StoreBench under_test = bench();
  GetParam().run(under_test);
  EXPECT_TRUE(server_.uploads.empty()) << "no upload is left behind";
}
INSTANTIATE_TEST_SUITE_P(All, S3ContractTest, testing::ValuesIn(StoreCases(false)),
                         [](const auto& info) { return info.param.name; });

TEST_F(S3StoreTest, RefusesBadOptions) {
  const S3Store::Deps deps{
      clock_, *rng_, files_, loop_.get_executor(), loop_.get_executor(), [](const std::string&) {
        return std::string();
      }};
  for (const char* url : {"file:///x", "s3://", "s3://b//c"}) {
    S3StoreOptions bad;
    bad.url = url;
    EXPECT_TRUE(absl::IsInvalidArgument(S3Store::Create(deps, bad).status())) << url;
  }
  options_.endpoint = "minio";
  const absl::Status status = S3Store::Create(deps, options_).status();
  EXPECT_TRUE(absl::StrContains(status.message(), "logs.s3.endpoint")) << status;
}

TEST_F(S3StoreTest, SmallPiecesAreOneRequestAndLargeOnesParts) {
  ASSERT_TRUE(Put("small", std::string(1000, 's')).ok());
  EXPECT_EQ(server_.requests().size(), 1u);
  ASSERT_TRUE(Put("large", std::string(1001, 'l')).ok());
  EXPECT_EQ(server_.Count("POST /logs/base/large?uploads="), 1);
  EXPECT_EQ(server_.Count("PUT /logs/base/large?partNumber="), 2);
  EXPECT_EQ(ContentOf("large"), std::string(1001, 'l'));
}

TEST_F(S3StoreTest, ExtendCopiesLargeHeadsAndSendsSmallOnesAgain) {
  ASSERT_TRUE(Put("o", std::string(499, 'a')).ok());
  ASSERT_TRUE(Run(store().Extend(499, PieceOf("o", "bb"))).ok());
  EXPECT_EQ(server_.Count("POST"), 0);
  EXPECT_EQ(ContentOf("o"), std::string(499, 'a') + "bb");
  ASSERT_TRUE(Run(store().Extend(501, PieceOf("o", "c"))).ok());
  EXPECT_EQ(server_.Count("POST"), 2) << "begun and completed";
  EXPECT_EQ(ContentOf("o"), std::string(499, 'a') + "bbc");
}

TEST_F(S3StoreTest, ABusyServerIsAskedAgainAfterTheTimeItAsksFor) {
  FailFirst("PUT", 2, server_.Error(503, "SlowDown", "", "Retry-After: 3\r\n"));
  const auto start = clock_.Boot();
  EXPECT_TRUE(Put("p", "text").ok());
  EXPECT_EQ(ContentOf("p"), "text");
  EXPECT_GE(clock_.Boot() - start, seconds(6));
}

TEST_F(S3StoreTest, AServerThatStaysDownIsUnavailable) {
  FailFirst("", 1000, server_.Error(500, "InternalError"));
  EXPECT_TRUE(absl::IsUnavailable(Put("p", "text")));
  EXPECT_TRUE(absl::IsUnavailable(Put("p", std::string(5000, 'x'))));
  EXPECT_TRUE(absl::IsUnavailable(Run(store().Read("p", 0, 1)).status()));
  EXPECT_TRUE(absl::IsUnavailable(Run(store().Extend(600, PieceOf("p", "x")))));
}

TEST_F(S3StoreTest, ConnectionsThatAreCutAreTriedAgain) {
  FailFirst("PUT", 2, kHangUp);
  EXPECT_TRUE(Put("p", "text").ok());
  EXPECT_EQ(ContentOf("p"), "text");
}

TEST_F(S3StoreTest, ABodyThatIsCutIsReadAgain) {
  ASSERT_TRUE(Put("p", "0123456789").ok());
  FailFirst("GET", 1,
            {.pieces = {"HTTP/1.1 206 Fake\r\nContent-Length: 10\r\n"
                        "Content-Range: bytes 0-9/10\r\n\r\n0123"},
             .close = true});
  EXPECT_EQ(*Run(store().Read("p", 0, 10)), "0123456789");
}

TEST_F(S3StoreTest, AnotherRangeThanAskedForIsNotTaken) {
  ASSERT_TRUE(Put("p", "0123456789").ok());
  FailFirst("GET", 1, {.pieces = {"HTTP/1.1 200 Fake\r\nContent-Length: 4\r\n\r\n0123"}});
  EXPECT_EQ(*Run(store().Read("p", 4, 4)), "4567");
}

TEST_F(S3StoreTest, AWrongEtagIsTriedAgainAndNeverTakenForSuccess) {
  const std::string wrong = "ETag: \"00000000000000000000000000000000\"\r\n";
  const Answer answer{.pieces = {"HTTP/1.1 200 Fake\r\nContent-Length: 0\r\n" + wrong + "\r\n"}};
  FailFirst("PUT", 1, answer);
  EXPECT_TRUE(Put("p", "text").ok());
  EXPECT_EQ(server_.Count("PUT"), 2);
  FailFirst("PUT", 1000, answer);
  const absl::Status status = Put("p", "text");
  EXPECT_TRUE(absl::IsUnavailable(status) && absl::StrContains(status.message(), "ETag")) << status;
}

TEST_F(S3StoreTest, ETagsThatAreNoMd5AreLeftAlone) {
  server_.after = [](const ReceivedRequest& request, Answer& answer) {
    if (request.method != "PUT") return;
    answer.pieces[0] =
        "HTTP/1.1 200 Fake\r\nContent-Length: 0\r\nETag: \"00000000000000000000000000000000\"\r\n"
        "x-amz-server-side-encryption: aws:kms\r\n\r\n";
  };
  EXPECT_TRUE(Put("p", "text").ok());
  EXPECT_EQ(server_.Count("PUT"), 1);
}

TEST_F(S3StoreTest, BytesThatArriveChangedAreSentAgain) {
  FailFirst("PUT", 1, server_.Error(400, "BadDigest"));
  EXPECT_TRUE(Put("p", "text").ok());
}

TEST_F(S3StoreTest, AnAnswerThatIsLostAfterTheCommitChangesNothing) {
  int lose = 1;
  server_.after = [&lose](const ReceivedRequest& request, Answer& answer) {
    if (absl::StrContains(request.target, "?uploadId") && request.method == "POST" && lose-- > 0) {
      answer = kHangUp;
    }
  };
  const std::string content(2500, 'x');
  EXPECT_TRUE(Put("p", content).ok());
  EXPECT_EQ(ContentOf("p"), content);
  EXPECT_EQ(server_.Count("POST /logs/base/p?uploadId="), 2);
  EXPECT_EQ(server_.Count("HEAD"), 1) << "that the object is ours was seen";
}

TEST_F(S3StoreTest, AnUploadThatFailsAfterOkIsCompletedAgain) {
  int fail = 1;
  server_.before = [&](const ReceivedRequest& request) -> std::optional<Answer> {
    const bool meant =
        request.method == "POST" && absl::StrContains(request.target, "?uploadId") && fail-- > 0;
    if (!meant) return std::nullopt;
    const std::string error = "<Error><Code>InternalError</Code></Error>";
    return Answer{.pieces = {absl::StrCat("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                                          "1\r\n \r\n", absl::Hex(error.size()), "\r\n", error,
                                          "\r\n0\r\n\r\n")}};
  };
  EXPECT_TRUE(Put("p", std::string(1500, 'x')).ok());
  EXPECT_EQ(ContentOf("p"), std::string(1500, 'x'));
}

TEST_F(S3StoreTest, AnUploadThatLosesAPartIsAbortedAndTheObjectStays) {
  ASSERT_TRUE(Put("p", "before").ok());
  server_.after = [this](const ReceivedRequest& request, Answer&) {
    if (absl::StrContains(request.target, "partNumber=2")) {
      server_.uploads.begin()->second.parts.erase(1);
    }
  };
  EXPECT_FALSE(Put("p", std::string(2500, 'x')).ok());
  EXPECT_EQ(ContentOf("p"), "before");
  EXPECT_TRUE(server_.uploads.empty());
}

TEST_F(S3StoreTest, AClockThatIsOffIsCorrectedByTheServers) {
  server_.now = [this] { return clock_.Now() + absl::Hours(3); };
  EXPECT_TRUE(Put("p", "text").ok());
  EXPECT_EQ(server_.Count("PUT"), 2);
  EXPECT_TRUE(Put("q", "text").ok());
  EXPECT_EQ(server_.Count("PUT"), 3) << "what was learned is kept";
}

TEST_F(S3StoreTest, AClockThatIsOffIsCorrectedForAllWhoAreUnderWay) {
  server_.now = [this] { return clock_.Now() + absl::Hours(3); };
  int done = 0;
  for (int i = 0; i < 10; ++i) {
    boost::asio::co_spawn(loop_, store().Put(PieceOf(absl::StrCat("p", i), "text")),
                          [&done](std::exception_ptr, const absl::Status& status) {
                            EXPECT_TRUE(status.ok()) << status;
                            ++done;
                          });
  }
  for (int i = 0; i < 100 && done < 10; ++i) EXPECT_TRUE(Put("q", "text").ok());
  EXPECT_EQ(done, 10);
}

TEST_F(S3StoreTest, KeysThatWereReplacedAreReadAgain) {
  const auto write = [this](const std::string& key, const std::string& secret) {
    ASSERT_TRUE(base::WriteFileAtomically(files_, "/key", key + "\n", 0600).ok());
    ASSERT_TRUE(base::WriteFileAtomically(files_, "/secret", secret + "\n", 0600).ok());
  };
  write("AKID", "sesame");
  options_.access_key_file = "/key";
  options_.secret_key_file = "/secret";
  ASSERT_TRUE(Put("p", "1").ok());
  server_.keys = {{"NEW", {"open"}}};
  write("NEW", "open");
  clock_.Advance(seconds(11));
  EXPECT_TRUE(Put("p", "2").ok());
  EXPECT_EQ(ContentOf("p"), "2");
}

TEST_F(S3StoreTest, WrongKeysAreSaidWithoutSecrets) {
  variables_["AWS_SECRET_ACCESS_KEY"] = "guess-me";
  absl::Status status = Run(store().Check());
  EXPECT_TRUE(absl::IsUnauthenticated(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "does not belong to the access key")) << status;
  EXPECT_FALSE(absl::StrContains(status.ToString(), "guess-me"));
}

TEST_F(S3StoreTest, CheckSaysWhatToFix) {
  const std::pair<Answer, std::string> cases[] = {
      {server_.Error(404, "NoSuchBucket"), "there is no bucket 'logs' there: create it"},
      {server_.Error(403, "AccessDenied"), "allow s3:PutObject"},
      {server_.Error(301, "PermanentRedirect", "", "x-amz-bucket-region: eu-west-3\r\n"),
       "set logs.s3.region: eu-west-3 (now us-east-1)"},
      {server_.Error(403, "InvalidAccessKeyId"), "the access key is not known there"},
      {{.pieces = {"HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\nnope"}},
       "that is no answer of S3: see logs.s3.endpoint"}};
  for (const auto& [answer, expected] : cases) {
    FailFirst("", 1000, answer);
    const absl::Status status = Run(store().Check());
    EXPECT_TRUE(absl::StrContains(status.message(), expected)) << status;
    EXPECT_TRUE(absl::StartsWith(status.message(), "logs.url s3://logs/base: ")) << status;
  }
}

TEST_F(S3StoreTest, ChecksLeaveNothingBehind) {
  EXPECT_TRUE(Run(store().Check()).ok());
  EXPECT_TRUE(server_.objects.empty());
}

TEST_F(S3StoreTest, OnlyAMissingObjectIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(Run(store().Read("p", 0, 1)).status()));
  FailFirst("GET", 1000, server_.Error(404, "NoSuchBucket"));
  EXPECT_TRUE(absl::IsInvalidArgument(Run(store().Read("p", 0, 1)).status()));
  FailFirst("GET", 1000, {.pieces = {"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"}});
  EXPECT_TRUE(absl::IsInvalidArgument(Run(store().Read("p", 0, 1)).status()));
}

TEST_F(S3StoreTest, AnErrorAsContentIsContent) {
  const std::string text = "<Error><Code>InternalError</Code></Error>";
  ASSERT_TRUE(Put("p", text).ok());
  EXPECT_EQ(*Run(store().Read("p", 0, 1000)), text);
}

TEST_F(S3StoreTest, ListsAllPages) {
  server_.page = 3;
  std::vector<std::string> names;
  for (int i = 0; i < 10; ++i) {
    names.push_back(absl::StrCat("l/", i));
    server_.objects["base/" + names.back()].content = "x";
  }
  EXPECT_EQ(*Run(store().List("l/")), names);
  EXPECT_EQ(server_.Count("GET"), 4);
}

TEST_F(S3StoreTest, OldUploadsBelowThePrefixAreAborted) {
  const std::string now = absl::FormatTime(absl::RFC3339_sec, clock_.Now(), absl::UTCTimeZone());
  server_.uploads = {{"old", {"base/a", "", "2025-12-30T00:00:00.000Z", {}}},
                     {"young", {"base/b", "", now, {}}},
                     {"foreign", {"other/c", "", "2025-01-01T00:00:00.000Z", {}}},
                     {"odd", {"base/d", "", "long ago", {}}}};
  store();
  clock_.Advance(seconds(61));
  // Each call lets the loop run on.
  for (int i = 0; i < 100 && server_.uploads.contains("old"); ++i) {
    EXPECT_TRUE(absl::IsNotFound(Run(store().Read("x", 0, 1)).status()));
  }
  EXPECT_EQ(server_.Count("DELETE /logs/base/a?uploadId=old"), 1);
  EXPECT_EQ(server_.uploads.size(), 3u);
  EXPECT_FALSE(server_.uploads.contains("old"));
}

}  // namespace
}  // namespace boxkeeper::logs::s3
