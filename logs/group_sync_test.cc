#include "logs/group_sync.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

namespace boxkeeper::logs {
namespace {

namespace asio = boost::asio;
using ::testing::ElementsAre;

class GroupSyncTest : public ::testing::Test {
 protected:
  // Loop and pool are two contexts, so that a test decides what runs when.
  GroupSyncTest()
      : group_(pool_.get_executor(), [this](std::vector<SyncItem>& items) {
          std::vector<absl::Status> statuses;
          std::vector<std::string> names;
          for (const SyncItem& item : items) {
            names.push_back(item.path);
            statuses.push_back(item.path == "bad" ? absl::UnavailableError("disk")
                                                  : absl::OkStatus());
          }
          passes_.push_back(names);
          return statuses;
        }) {}

  void Ask(const std::string& path) {
    auto ask = [this, path]() -> asio::awaitable<void> {
      const absl::Status status = co_await group_.Sync({nullptr, "", path});
      answers_.push_back(path + (status.ok() ? " ok" : " failed"));
    };
    asio::co_spawn(loop_, ask, asio::detached);
  }
  static void RunReady(asio::io_context& context) {
    context.restart();
    context.poll();
  }

  asio::io_context loop_;
  asio::io_context pool_;
  std::vector<std::vector<std::string>> passes_;
  std::vector<std::string> answers_;
  GroupSync group_;
};

TEST_F(GroupSyncTest, ALoneOneWaitsForNobody) {
  Ask("a");
  RunReady(loop_);
  RunReady(pool_);
  EXPECT_THAT(answers_, ElementsAre());
  RunReady(loop_);
  EXPECT_THAT(answers_, ElementsAre("a ok"));
}

TEST_F(GroupSyncTest, WhoComesDuringAPassSharesTheNext) {
  Ask("a");
  RunReady(loop_);
  Ask("b");
  Ask("c");
  RunReady(loop_);
  RunReady(pool_);
  RunReady(loop_);
  EXPECT_THAT(answers_, ElementsAre("a ok"));
  RunReady(pool_);
  RunReady(loop_);
  EXPECT_THAT(passes_, ElementsAre(ElementsAre("a"), ElementsAre("b", "c")));
  EXPECT_THAT(answers_, ElementsAre("a ok", "b ok", "c ok"));
}

TEST_F(GroupSyncTest, EachGetsItsOwnAnswer) {
  Ask("a");
  RunReady(loop_);
  Ask("bad");
  Ask("c");
  RunReady(loop_);
  for (int i = 0; i < 2; ++i) {
    RunReady(pool_);
    RunReady(loop_);
  }
  EXPECT_THAT(answers_, ElementsAre("a ok", "bad failed", "c ok"));
}

}  // namespace
}  // namespace boxkeeper::logs
