#include "daemon/service/loop_bridge.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace boxkeeper::daemon {
namespace {

TEST(LoopBridgeTest, RunsJobsInOrderOnTheLoop) {
  boost::asio::io_context loop;
  Metrics metrics;
  LoopBridge bridge(loop, metrics, {});
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(bridge.ToLoop([&order, i] { order.push_back(i); }));
  }
  EXPECT_TRUE(order.empty());
  loop.run();
  ASSERT_EQ(order.size(), 100u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(LoopBridgeTest, RefusesWhatDoesNotFitButNeverASignal) {
  boost::asio::io_context loop;
  Metrics metrics;
  LoopBridge::Options options;
  options.queue_max = 2;
  LoopBridge bridge(loop, metrics, options);
  int ran = 0;
  EXPECT_TRUE(bridge.ToLoop([&] { ++ran; }));
  EXPECT_TRUE(bridge.ToLoop([&] { ++ran; }));
  EXPECT_FALSE(bridge.ToLoop([&] { ++ran; }));
  for (int i = 0; i < 10; ++i) bridge.ToLoopAlways([&] { ++ran; });
  EXPECT_EQ(metrics.queue_refusals.load(), 1u);
  loop.run();
  EXPECT_EQ(ran, 12);
  EXPECT_TRUE(bridge.ToLoop([] {}));
}

TEST(LoopBridgeTest, BytesInFlightAreBounded) {
  boost::asio::io_context loop;
  Metrics metrics;
  LoopBridge::Options options;
  options.request_bytes_max = 100;
  LoopBridge bridge(loop, metrics, options);
  EXPECT_TRUE(bridge.Reserve(60));
  EXPECT_FALSE(bridge.Reserve(60));
  EXPECT_TRUE(bridge.Reserve(40));
  bridge.Release(60);
  EXPECT_TRUE(bridge.Reserve(60));
  EXPECT_EQ(metrics.queue_refusals.load(), 1u);
}

TEST(LoopBridgeTest, AnswersLeaveFromOtherThreads) {
  boost::asio::io_context loop;
  Metrics metrics;
  LoopBridge bridge(loop, metrics, {});
  std::atomic<int> sent{0};
  std::atomic<bool> on_loop{false};
  const std::thread::id here = std::this_thread::get_id();
  EXPECT_TRUE(bridge.ToLoop([&] {
    for (int i = 0; i < 50; ++i) {
      bridge.OffLoop([&] {
        if (std::this_thread::get_id() == here) on_loop = true;
        ++sent;
      });
    }
  }));
  loop.run();
  bridge.Stop();
  EXPECT_EQ(sent, 50);
  EXPECT_FALSE(on_loop);
}

}  // namespace
}  // namespace boxkeeper::daemon
