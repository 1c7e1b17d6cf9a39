#include "logs/output_puller.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/fake_clock.h"
#include "base/testing/faulty_file_system.h"
#include "logs/spool_reader.h"

namespace boxkeeper::logs {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::seconds;

// What a sandbox has printed so far, behind an API that misbehaves as told.
struct FakeSource {
  std::map<Stream, std::string> printed;
  bool ended = false;
  absl::Status failure;     // of every call
  milliseconds latency{0};  // of every call
  int calls = 0;
  int in_flight = 0;
  int in_flight_max = 0;

  asio::awaitable<absl::StatusOr<PulledChunk>> Read(base::Clock& clock, Stream stream,
                                                    uint64_t offset, size_t max_bytes,
                                                    base::BootTime deadline) {
    ++calls;
    in_flight_max = std::max(in_flight_max, ++in_flight);
    const base::BootTime answer = clock.Boot() + latency;
    absl::Status slept;
    if (latency.count() > 0) slept = co_await clock.SleepUntil(std::min(answer, deadline));
    --in_flight;
    if (!slept.ok()) co_return slept;
    if (answer > deadline) co_return absl::DeadlineExceededError("no answer");
    if (!failure.ok()) co_return failure;
    const std::string& all = printed[stream];
    PulledChunk chunk;
    if (offset < all.size()) chunk.data = all.substr(offset, max_bytes);
    chunk.end = ended && offset + chunk.data.size() >= all.size();
    co_return chunk;
  }
};

PullEnd Sizes(uint64_t stdout_bytes, uint64_t stderr_bytes) {
  return {.stdout_bytes = stdout_bytes, .stderr_bytes = stderr_bytes};
}

class OutputPullerTest : public ::testing::Test {
 protected:
  OutputPullerTest() : clock_(loop_) {
    EXPECT_TRUE(fs_.MakeDirectories("/spool", 0700).ok());
    task_.id.bytes[0] = 1;
    Make();
  }
  ~OutputPullerTest() override { puller_.reset(); }

  void Make() {
    puller_.reset();
    puller_ = std::make_unique<OutputPuller>(OutputPuller::Deps{.clock = clock_,
                                                                .rng = *rng_,
                                                                .files = fs_,
                                                                .loop = loop_.get_executor(),
                                                                .pool = loop_.get_executor(),
                                                                .on_growth = nullptr},
                                             options_);
  }

  PullJob Job(uint8_t number = 1) {
    PullJob job;
    job.task.id.bytes[0] = number;
    job.spool = SpoolFiles(absl::StrCat("/spool/", number));
    job.limit = limit_;
    job.read = [this](Stream stream, uint64_t offset, size_t max_bytes, base::BootTime deadline) {
      return source_.Read(clock_, stream, offset, max_bytes, deadline);
    };
    return job;
  }

  // Runs until it is done, at most so long.
  std::optional<PulledOutput> Drain(PullEnd end, seconds patience = seconds(60)) {
    auto result = std::make_shared<std::optional<PulledOutput>>();
    asio::co_spawn(loop_, puller_->Drain(Job(), end),
                   [result](std::exception_ptr error, PulledOutput output) {
                     EXPECT_FALSE(error);
                     *result = std::move(output);
                   });
    const base::BootTime begun = clock_.Boot();
    clock_.RunUntilIdle();
    while (!result->has_value() && clock_.Boot() - begun < patience) {
      clock_.Advance(milliseconds(10));
    }
    took_ = std::chrono::duration_cast<milliseconds>(clock_.Boot() - begun);
    return *result;
  }

  std::string Spooled(Stream stream = Stream::kStdout) {
    return fs_.Content(SpoolFiles("/spool/1").path(stream)).value_or("");
  }

  base::FaultyFileSystem fs_;
  asio::io_context loop_;
  base::FakeClock clock_;
  std::unique_ptr<base::Rng> rng_ = base::MakeSeededRng(3);
  FakeSource source_;
  SpoolLimit limit_;
  PullerOptions options_;
  base::TaskId task_;
  std::unique_ptr<OutputPuller> puller_;
  milliseconds took_{0};
};

TEST_F(OutputPullerTest, BringsWhatIsPrintedWhileItRuns) {
  puller_->Pull(Job());
  source_.printed[Stream::kStdout] = "hello\n";
  clock_.Advance(seconds(1));
  EXPECT_EQ(Spooled(), "hello\n");
  source_.printed[Stream::kStdout] += "more\n";
  source_.printed[Stream::kStderr] += "oops\n";
  clock_.Advance(seconds(3));
  EXPECT_EQ(Spooled(), "hello\nmore\n");
  EXPECT_EQ(Spooled(Stream::kStderr), "oops\n");
  EXPECT_EQ(puller_->status().bytes, 16u);
  EXPECT_EQ(puller_->status().pulled, 1u);
}

TEST_F(OutputPullerTest, AsksRarelyWhereNothingComesAndSoonWhereItDoes) {
  puller_->Pull(Job());
  clock_.Advance(seconds(10));
  source_.calls = 0;
  clock_.Advance(seconds(60));
  EXPECT_LE(source_.calls, 62);  // two streams, every 2 s
  for (int i = 0; i < 100; ++i) {
    source_.printed[Stream::kStdout] += "line\n";
    clock_.Advance(milliseconds(100));
  }
  EXPECT_GE(Spooled().size(), 480u);
}

TEST_F(OutputPullerTest, ManyTasksShareTheCalls) {
  for (int i = 1; i <= 200; ++i) puller_->Pull(Job(static_cast<uint8_t>(i)));
  clock_.Advance(seconds(60));
  source_.calls = 0;
  clock_.Advance(seconds(60));
  EXPECT_LE(source_.calls, 60 * options_.calls_per_second * 12 / 10);
}

TEST_F(OutputPullerTest, OneThatIsFollowedIsAskedForOften) {
  puller_->Pull(Job());
  clock_.Advance(seconds(60));
  puller_->Follow(task_, 1);
  source_.printed[Stream::kStdout] = "seen at once";
  clock_.Advance(milliseconds(1));
  EXPECT_EQ(Spooled(), "seen at once");
  clock_.Advance(seconds(60));
  source_.printed[Stream::kStdout] += ", and soon";
  clock_.Advance(milliseconds(500));
  EXPECT_EQ(Spooled(), "seen at once, and soon");
  puller_->Follow(task_, -1);
}

TEST_F(OutputPullerTest, BoundsWhatIsReadAtOneTime) {
  options_.concurrency = 4;
  Make();
  source_.latency = milliseconds(500);
  for (int i = 1; i <= 40; ++i) puller_->Pull(Job(static_cast<uint8_t>(i)));
  clock_.Advance(seconds(20));
  EXPECT_EQ(source_.in_flight_max, 4);
}

TEST_F(OutputPullerTest, AnEndedStreamIsNotAskedForAgain) {
  source_.printed[Stream::kStdout] = "all";
  source_.ended = true;
  puller_->Pull(Job());
  clock_.Advance(seconds(1));
  source_.calls = 0;
  clock_.Advance(seconds(600));
  EXPECT_EQ(source_.calls, 0);
  const auto output = Drain(Sizes(3, 0));
  ASSERT_TRUE(output.has_value());
  EXPECT_TRUE(output->complete) << output->why;
  EXPECT_EQ(source_.calls, 0);
}

TEST_F(OutputPullerTest, DrainsUpToTheAttestedSizes) {
  source_.printed[Stream::kStdout] = std::string(1'000'000, 'x') + "behind the end";
  source_.printed[Stream::kStderr] = "error";
  const auto output = Drain(Sizes(1'000'000, 5));
  ASSERT_TRUE(output.has_value());
  EXPECT_TRUE(output->complete) << output->why;
  EXPECT_EQ(output->stdout_bytes, 1'000'000u);
  EXPECT_EQ(output->stderr_bytes, 5u);
  EXPECT_EQ(Spooled().size(), 1'000'000u);
}

TEST_F(OutputPullerTest, DrainsToWhereTheSourceEndsIfNobodyAttestedASize) {
  source_.printed[Stream::kStdout] = "what a lost task printed";
  source_.ended = true;
  const auto output = Drain({});
  ASSERT_TRUE(output.has_value());
  EXPECT_TRUE(output->complete) << output->why;
  EXPECT_EQ(Spooled(), "what a lost task printed");
}

TEST_F(OutputPullerTest, OfAVanishedSandboxWhatWasFetchedIsWhatThereIs) {
  puller_->Pull(Job());
  source_.printed[Stream::kStdout] = "last words";
  clock_.Advance(seconds(3));
  source_.calls = 0;
  const auto output = Drain({.stdout_bytes = {}, .stderr_bytes = {}, .gone = true});
  ASSERT_TRUE(output.has_value());
  EXPECT_FALSE(output->complete);
  EXPECT_EQ(output->stdout_bytes, 10u);
  EXPECT_EQ(source_.calls, 0);
  clock_.Advance(seconds(60));
  EXPECT_EQ(source_.calls, 0);
}

TEST_F(OutputPullerTest, ASandboxThatIsNotFoundTwiceIsGone) {
  source_.failure = absl::NotFoundError("no such sandbox");
  const auto output = Drain(Sizes(10, 0));
  ASSERT_TRUE(output.has_value());
  EXPECT_FALSE(output->complete);
  EXPECT_LT(took_, seconds(2));
}

TEST_F(OutputPullerTest, AProviderThatIsAwayIsAskedAgainAndGivenUpAfterFinalDrain) {
  source_.printed[Stream::kStdout] = "text";
  source_.failure = absl::UnavailableError("503");
  puller_->Pull(Job());
  clock_.Advance(seconds(30));
  EXPECT_EQ(puller_->status().failing, 2u);
  EXPECT_EQ(puller_->status().last_error, "503");
  source_.failure = absl::OkStatus();
  clock_.Advance(seconds(10));
  EXPECT_EQ(Spooled(), "text");
  EXPECT_EQ(puller_->status().failing, 0u);

  source_.failure = absl::UnavailableError("503");
  const auto output = Drain(Sizes(100, 0));
  ASSERT_TRUE(output.has_value());
  EXPECT_FALSE(output->complete);
  EXPECT_EQ(output->stdout_bytes, 4u);
  EXPECT_NE(output->why.find("503"), std::string::npos) << output->why;
  EXPECT_GE(took_, options_.final_drain);
  EXPECT_LT(took_, options_.final_drain + seconds(1));
}

TEST_F(OutputPullerTest, WhatIsAttestedIsNotGivenUpWhileItFlows) {
  options_.read_bytes = 10;
  Make();
  source_.latency = seconds(4);
  source_.printed[Stream::kStdout] = std::string(100, 'x');
  const auto output = Drain(Sizes(100, 0));
  ASSERT_TRUE(output.has_value());
  EXPECT_TRUE(output->complete) << output->why;
  EXPECT_GE(took_, seconds(40));
}

TEST_F(OutputPullerTest, AReadThatHangsDoesNotDelayTheEndAndItsLateAnswerIsDiscarded) {
  source_.printed[Stream::kStdout] = "0123456789";
  source_.latency = seconds(9);
  puller_->Pull(Job());
  clock_.Advance(seconds(1));
  source_.latency = milliseconds(0);
  const auto output = Drain(Sizes(10, 0));
  ASSERT_TRUE(output.has_value());
  EXPECT_TRUE(output->complete) << output->why;
  EXPECT_LT(took_, seconds(1));
  clock_.Advance(seconds(30));
  EXPECT_EQ(Spooled(), "0123456789");
}

TEST_F(OutputPullerTest, ADrainTakesItsTurnAndItsBoundBeginsThen) {
  options_.drains = 1;
  Make();
  source_.failure = absl::UnavailableError("503");
  int ended = 0;
  for (uint8_t i = 1; i <= 3; ++i) {
    asio::co_spawn(loop_, puller_->Drain(Job(i), Sizes(1, 0)),
                   [&ended](std::exception_ptr, PulledOutput) { ++ended; });
  }
  clock_.Advance(seconds(21));
  EXPECT_EQ(ended, 2);
  source_.failure = absl::OkStatus();
  source_.printed[Stream::kStdout] = "x";
  clock_.Advance(seconds(10));
  EXPECT_EQ(ended, 3);
}

TEST_F(OutputPullerTest, ALimitThatBlocksLeavesTheRestAndSaysSoAtTheEnd) {
  limit_ = {.bytes_max = 8'192, .block = true};
  source_.printed[Stream::kStdout] = std::string(100'000, 'x');
  puller_->Pull(Job());
  clock_.Advance(seconds(60));
  EXPECT_GE(Spooled().size(), 8'192u);
  EXPECT_LT(Spooled().size(), 8'192u + 4'096u);
  const auto output = Drain(Sizes(100'000, 0));
  ASSERT_TRUE(output.has_value());
  EXPECT_TRUE(output->complete) << output->why;
  EXPECT_EQ(output->stdout_bytes, 100'000u);
  EXPECT_GT(output->dropped_bytes, 87'000u);
}

TEST_F(OutputPullerTest, AFullDiskIsWaitedFor) {
  fs_.SetCapacity(1'000);
  source_.printed[Stream::kStdout] = "text";
  puller_->Pull(Job());
  clock_.Advance(seconds(10));
  EXPECT_EQ(Spooled(), "");
  fs_.SetCapacity(std::nullopt);
  clock_.Advance(seconds(10));
  EXPECT_EQ(Spooled(), "text");
}

TEST_F(OutputPullerTest, WhatIsForgottenIsFetchedNoMore) {
  puller_->Pull(Job());
  clock_.Advance(seconds(1));
  puller_->Forget(task_);
  source_.calls = 0;
  clock_.Advance(seconds(60));
  EXPECT_EQ(source_.calls, 0);
  EXPECT_EQ(puller_->status().pulled, 0u);
}

// The daemon dies at any operation of the disk while output is fetched, with the machine or alone;
// the next ones go on, and in the end every byte is there once.
TEST_F(OutputPullerTest, WhereverItDiesTheNextOneGoesOn) {
  for (const Stream stream : {Stream::kStdout, Stream::kStderr}) {
    for (int i = 0; i < 50; ++i) absl::StrAppend(&source_.printed[stream], "line ", i, "\n");
  }
  source_.ended = true;
  options_.read_bytes = 64;
  const PullEnd end{.stdout_bytes = source_.printed[Stream::kStdout].size(),
                    .stderr_bytes = source_.printed[Stream::kStderr].size()};
  bool survived = false;
  for (int die_at = 1; !survived; die_at += 3) {
    SCOPED_TRACE(absl::StrCat("at operation ", die_at));
    puller_.reset();
    fs_.Crash(*rng_);
    for (const char* file : {"/spool/1/stdout", "/spool/1/stderr", "/spool/1/index"}) {
      (void)fs_.Remove(file);
    }
    int operations = 0;
    fs_.SetFault([&operations, die_at](base::FileOperation, const std::string&) -> absl::Status {
      if (operations++ < die_at) return absl::OkStatus();
      return absl::DataLossError("dead");
    });
    Make();
    puller_->Pull(Job());
    clock_.Advance(seconds(2));
    survived = operations < die_at;
    puller_.reset();
    fs_.SetFault(nullptr);
    die_at % 2 == 0 ? fs_.Crash(*rng_) : fs_.KillProcess();
    Make();
    const auto output = Drain(end);
    ASSERT_TRUE(output.has_value());
    EXPECT_TRUE(output->complete) << output->why;
    fs_.Crash(*rng_);  // what is told as complete survives the machine
    EXPECT_EQ(Spooled(), source_.printed[Stream::kStdout]);
    EXPECT_EQ(Spooled(Stream::kStderr), source_.printed[Stream::kStderr]);
  }
}

// As Linux does it: what a failed sync did not write stays readable, counts as clean, and is gone
// with the power.
class FailedSyncTest : public OutputPullerTest {
 protected:
  FailedSyncTest() {
    fs_.ForgetAtFailedSync("/spool");
    source_.ended = true;
    for (int i = 0; i < 50; ++i) {
      absl::StrAppend(&source_.printed[Stream::kStdout], "line ", i, "\n");
    }
    options_.read_bytes = 64;
    Make();
  }

  // Syncs of files whose path has `part` in it fail, from the `from`-th one on, `count` times.
  void Fail(std::string part, int from, int count) {
    fs_.SetFault([this, part, from, count](base::FileOperation operation,
                                           const std::string& path) -> absl::Status {
      const bool sync =
          operation == base::FileOperation::kSync && path.find(part) != std::string::npos;
      if (!sync || ++syncs_ <= from || syncs_ > from + count) return absl::OkStatus();
      return absl::DataLossError("I/O error");
    });
  }

  PullEnd End() const { return Sizes(source_.printed.at(Stream::kStdout).size(), 0); }

  void ExpectDurable() {
    fs_.SetFault(nullptr);
    fs_.Crash(*rng_);
    EXPECT_EQ(Spooled(), source_.printed[Stream::kStdout]);
    PulledSpool spool(fs_, SpoolFiles("/spool/1"), {});
    ASSERT_TRUE(spool.Load().ok());
    EXPECT_EQ(spool.length(Stream::kStdout), source_.printed[Stream::kStdout].size());
  }

  int syncs_ = 0;
};

TEST_F(FailedSyncTest, WhatWasNotSyncedIsFetchedAndWrittenAnew) {
  for (int from = 0; from < 8; ++from) {
    SCOPED_TRACE(from);
    for (const char* file : {"/spool/1/stdout", "/spool/1/index"}) (void)fs_.Remove(file);
    syncs_ = 0;
    Make();
    Fail("stdout", from, 2);
    const auto output = Drain(End());
    ASSERT_TRUE(output.has_value());
    EXPECT_TRUE(output->complete) << output->why;
    ExpectDurable();
  }
}

TEST_F(FailedSyncTest, TheIndexIsWrittenAnew) {
  Fail("index", 0, 2);
  const auto output = Drain(End());
  ASSERT_TRUE(output.has_value());
  EXPECT_TRUE(output->complete) << output->why;
  EXPECT_GE(syncs_, 3);
  ExpectDurable();
}

TEST_F(FailedSyncTest, ADiskThatNeverTakesItIsGivenUpAndSaidSo) {
  Fail("index", 0, 1'000'000);
  const auto output = Drain(End());
  ASSERT_TRUE(output.has_value());
  EXPECT_FALSE(output->complete);
  EXPECT_EQ(output->why, "I/O error");
  EXPECT_GE(took_, options_.final_drain);
  EXPECT_LE(took_, options_.final_drain + seconds(1));
}

TEST_F(FailedSyncTest, WhatWasNotSyncedIsNotTakenForOutput) {
  Fail("stdout", 1, 1'000'000);
  const auto output = Drain(End());
  ASSERT_TRUE(output.has_value());
  EXPECT_FALSE(output->complete);
  EXPECT_EQ(output->stdout_bytes, 64u);
  EXPECT_EQ(Spooled().size(), 64u);
}

TEST_F(OutputPullerTest, StopsInTheMiddleOfARead) {
  source_.latency = seconds(9);
  puller_->Pull(Job());
  clock_.Advance(seconds(1));
  bool stopped = false;
  asio::co_spawn(loop_, puller_->Stop(clock_.Boot() + seconds(5)),
                 [&stopped](std::exception_ptr, absl::Status status) { stopped = status.ok(); });
  clock_.Advance(seconds(1));
  EXPECT_TRUE(stopped);
}

}  // namespace
}  // namespace boxkeeper::logs
