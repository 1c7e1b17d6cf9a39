// ReadLog of what the log store does not have yet.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "daemon/wiring/testing/log_adapter_fixture.h"

namespace boxkeeper::daemon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using boost::asio::awaitable;
using logs::RunAwaitable;
using logs::Stream;

class UnstoredLogTest : public testing::LogAdapterTest {
 protected:
  UnstoredLogTest() { task_.spec.set_layout("airflow"); }

  static v1::ReadLogRequest Request(bool follow = false) {
    v1::ReadLogRequest request;
    request.set_unstored(true);
    request.set_follow(follow);
    return request;
  }
  // As one reader sees it now: how often `text` is in the store's objects and in the answer.
  int Shown(const std::string& text) {
    int count = 0;
    const std::string path = folder_ + "/logs/" + adapter_->LogPath(task_);
    const auto directory = std::filesystem::path(path).parent_path();
    if (std::filesystem::exists(directory)) {
      for (const auto& entry : std::filesystem::directory_iterator(directory)) {
        std::ifstream file(entry.path());
        std::ostringstream content;
        content << file.rdbuf();
        count += content.str().find(text) != std::string::npos ? 1 : 0;
      }
    }
    task_.records = events_.records;
    const auto stream = Read(Request());
    const auto answer = Next(*stream);
    EXPECT_TRUE(answer.end() || Next(*stream).end());
    return count + (answer.data().find(text) != std::string::npos ? 1 : 0);
  }
};

TEST_F(UnstoredLogTest, EachLineIsInTheStoreOrInTheAnswer) {
  auto spool = Spool();
  adapter_->Track(task_);
  EXPECT_EQ(Shown("line"), 0);
  for (int i = 0; i < 20; ++i) {
    spool.Write(Stream::kStdout, absl::StrCat("line ", i, ".\n"), absl::ToUnixMillis(clock_.Now()));
    for (int seen = 0; seen <= i; ++seen) EXPECT_EQ(Shown(absl::StrCat("line ", seen, ".")), 1);
    clock_.Advance(std::chrono::milliseconds(700));
  }
  End(static_cast<int64_t>(spool.size(Stream::kStdout)));
  EXPECT_EQ(Shown("line 19."), 1);
  clock_.Advance(std::chrono::seconds(5));
  EXPECT_EQ(events_.complete, std::vector<int64_t>{7});
  EXPECT_EQ(Shown("line 19."), 1);
  EXPECT_EQ(Next(*Read(Request())).data(), "");
}

// The journal has the cut and not the confirmation.
TEST_F(UnstoredLogTest, APieceOnItsWayIsLeftOutOnlyIfTheStoreHasIt) {
  auto spool = Spool();
  adapter_->Track(task_);
  spool.Write(Stream::kStdout, "first\n", absl::ToUnixMillis(clock_.Now()));
  clock_.Advance(std::chrono::seconds(5));
  ASSERT_EQ(events_.records.size(), 2u);
  events_.records.pop_back();
  spool.Write(Stream::kStdout, "second\n", absl::ToUnixMillis(clock_.Now()));
  EXPECT_EQ(Shown("first"), 1);
  EXPECT_EQ(Shown("second"), 1);
  std::filesystem::remove_all(folder_ + "/logs");
  EXPECT_EQ(Shown("first"), 1);
  EXPECT_EQ(Shown("second"), 1);
}

TEST_F(UnstoredLogTest, FollowsToTheEndThoughAllOfItIsStoredMeanwhile) {
  auto stream = Read(Request(true));
  std::string seen;
  bool ended = false;
  auto follow = [&]() -> awaitable<void> {
    while (!ended) {
      auto piece = co_await stream->Next();
      EXPECT_TRUE(piece.ok()) << piece.status();
      if (!piece.ok()) co_return;
      EXPECT_EQ(piece->offset(), static_cast<int64_t>(seen.size()));
      seen += piece->data();
      ended = piece->end();
    }
  };
  boost::asio::co_spawn(loop_, follow, [](std::exception_ptr error) { EXPECT_FALSE(error); });
  auto spool = Spool();
  adapter_->Track(task_);
  spool.Write(Stream::kStdout, "one\ntwo", absl::ToUnixMillis(clock_.Now()));
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_THAT(seen, HasSubstr("\"one\""));
  EXPECT_THAT(seen, Not(HasSubstr("two")));
  clock_.Advance(std::chrono::seconds(10));
  spool.Write(Stream::kStderr, "bad\n", absl::ToUnixMillis(clock_.Now()));
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_THAT(seen, HasSubstr("\"bad\""));
  end_.stderr_bytes = 4;
  End(7);
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_TRUE(ended);
  EXPECT_THAT(seen, HasSubstr("\"two\""));
}

// What was not read yet is stored, and the spool goes because space is short.
TEST_F(UnstoredLogTest, AReaderWhoseSpoolGoesGoesOnWhereTheStoreEnds) {
  spool_max_bytes_ = 1000;
  MakeAdapter();
  auto spool = Spool();
  adapter_->Track(task_);
  spool.Write(Stream::kStdout, std::string(1 << 20, 'x') + "\nlast\n",
              absl::ToUnixMillis(clock_.Now()));
  auto stream = Read(Request());
  EXPECT_FALSE(Next(*stream).data().empty());
  End(static_cast<int64_t>(spool.size(Stream::kStdout)));
  clock_.Advance(std::chrono::seconds(5));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/spool/" + task_.id.ToString()));
  task_.records = events_.records;
  EXPECT_TRUE(Next(*stream).end());
}

TEST_F(UnstoredLogTest, WhyATaskThatNeverStartedEndedIsShownAndStored) {
  task_.secrets = {"s3cret-value"};
  end_.why = "FAILED/CREATE_FAILED: not with s3cret-value";
  end_.reason = "CREATE_FAILED";
  end_.ended_at_ms = absl::ToUnixMillis(clock_.Now());
  end_.ended = true;
  EXPECT_EQ(Shown("not with ************\",\"reason\":\"CREATE_FAILED\"}"), 1);
  EXPECT_THAT(Next(*Read(Request())).data(), HasSubstr("CREATE_FAILED"));
  adapter_->Track(task_);
  End(0);
  clock_.Advance(std::chrono::seconds(5));
  EXPECT_EQ(events_.complete, std::vector<int64_t>{7});
  EXPECT_EQ(Shown("not with ************\",\"reason\":\"CREATE_FAILED\"}"), 1);
  EXPECT_EQ(Next(*Read(Request())).data(), "");
  EXPECT_EQ(Next(*Read({})).data(), "");  // it is not the command's output
}

TEST_F(UnstoredLogTest, SecretsAreOverwritten) {
  task_.secrets = {"s3cret-value"};
  auto spool = Spool();
  spool.Write(Stream::kStdout, "<s3cret-value>\n", 1);
  EXPECT_THAT(Next(*Read(Request())).data(), HasSubstr("<************>"));
}

TEST_F(UnstoredLogTest, OnlyOfTheAirflowLayout) {
  task_.spec.set_layout("plain");
  auto stream = Read(Request());
  auto piece = RunAwaitable(loop_, clock_, stream->Next());
  EXPECT_EQ(piece.status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(UnstoredLogTest, OnlyTheStreamsThatAreStored) {
  task_.spec.add_streams("stderr");
  auto spool = Spool();
  spool.Write(Stream::kStdout, "out\n", 1);
  spool.Write(Stream::kStderr, "bad\n", 1);
  const std::string data = Next(*Read(Request())).data();
  EXPECT_THAT(data, HasSubstr("bad"));
  EXPECT_THAT(data, Not(HasSubstr("out\"")));
}

}  // namespace
}  // namespace boxkeeper::daemon
