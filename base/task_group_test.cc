#include "base/task_group.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <stdexcept>
#include <vector>

#include "base/log.h"
#include "base/testing/fake_clock.h"

namespace boxkeeper::base {
namespace {

namespace asio = boost::asio;
using std::chrono::seconds;

struct TaskGroupTest : testing::Test {
  asio::io_context context;
  FakeClock clock{context};
  std::optional<TaskGroup> group{std::in_place, clock, context.get_executor()};
  std::vector<std::string> log;

  auto Sleeper(std::string name, int s) {
    return [this, name, s]() -> asio::awaitable<void> {
      absl::Status status = co_await clock.SleepUntil(clock.Boot() + seconds(s));
      log.push_back(name + ":" + std::string(absl::StatusCodeToString(status.code())));
    };
  }
  std::optional<absl::Status> joined;
  void SpawnJoin(BootTime deadline) {
    auto join = [this, deadline]() -> asio::awaitable<void> {
      joined = co_await group->Join(deadline);
    };
    asio::co_spawn(context, join, asio::detached);
    clock.RunUntilIdle();
  }
};

TEST_F(TaskGroupTest, JoinWaitsForAllChildren) {
  group->Spawn("a", Sleeper("a", 1));
  group->Spawn("b", Sleeper("b", 3));
  SpawnJoin(clock.Boot() + seconds(10));
  clock.Advance(seconds(2));
  EXPECT_EQ(group->size(), 1u);
  EXPECT_FALSE(joined);
  clock.Advance(seconds(1));
  EXPECT_TRUE(joined->ok());
  EXPECT_EQ(log, (std::vector<std::string>{"a:OK", "b:OK"}));
}

TEST_F(TaskGroupTest, JoinGivesUpAtItsDeadlineNamingAChild) {
  group->Spawn("stubborn", Sleeper("a", 100));
  SpawnJoin(clock.Boot() + seconds(5));
  clock.Advance(seconds(5));
  ASSERT_TRUE(joined);
  EXPECT_EQ(joined->code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_NE(joined->message().find("stubborn"), absl::string_view::npos);
}

TEST_F(TaskGroupTest, CancelEndsChildrenAlsoLaterOnes) {
  group->Spawn("a", Sleeper("a", 100));
  clock.RunUntilIdle();
  group->Cancel();
  group->Spawn("b", Sleeper("b", 100));
  SpawnJoin(clock.Boot() + seconds(1));
  clock.RunUntilIdle();
  EXPECT_EQ(group->size(), 0u);
  EXPECT_TRUE(joined->ok());
  EXPECT_EQ(log.at(0), "a:CANCELLED");
}

TEST_F(TaskGroupTest, LogsEscapedExceptionsWithTheId) {
  std::vector<std::string> lines;
  ScopedLogCapture capture(LogLevel::kWarning, LogFormat::kText,
                           [&](LogLevel, std::string_view line) { lines.emplace_back(line); });
  auto thrower = []() -> asio::awaitable<void> {
    throw std::runtime_error("boom");
    co_return;
  };
  group->Spawn("t7", thrower);
  clock.RunUntilIdle();
  EXPECT_EQ(group->size(), 0u);
  EXPECT_EQ(lines, std::vector<std::string>{"exception escaped a coroutine id=t7 what=boom"});
}

TEST_F(TaskGroupTest, ChildrenMayOutliveTheGroup) {
  group->Spawn("a", Sleeper("a", 100));
  clock.RunUntilIdle();
  group.reset();
  clock.RunUntilIdle();
  EXPECT_EQ(log, std::vector<std::string>{"a:CANCELLED"});
}

TEST_F(TaskGroupTest, JoinOfAnEmptyGroupIsDoneAtOnce) {
  SpawnJoin(clock.Boot());
  EXPECT_TRUE(joined->ok());
}

}  // namespace
}  // namespace boxkeeper::base
