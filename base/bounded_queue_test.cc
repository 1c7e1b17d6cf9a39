#include "base/bounded_queue.h"

#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <thread>
#include <vector>

namespace boxkeeper::base {
namespace {

namespace asio = boost::asio;

TEST(BoundedQueueTest, ConsumesABurstInOrderWithOneWakeUp) {
  asio::io_context context;
  std::vector<int> got;
  BoundedQueue<int> queue(context.get_executor(), {}, [&](int i) { got.push_back(i); });
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(queue.Push(int{i}));
  EXPECT_EQ(queue.size(), 5u);
  EXPECT_EQ(context.poll_one(), 1u);
  EXPECT_EQ(got, (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(queue.size(), 0u);
}

TEST(BoundedQueueTest, RefusesAndCountsBeyondTheBound) {
  asio::io_context context;
  int got = 0;
  BoundedQueue<std::unique_ptr<int>> queue(context.get_executor(), {.bound = 2},
                                           [&](std::unique_ptr<int>) { ++got; });
  EXPECT_TRUE(queue.Push(std::make_unique<int>(1)));
  EXPECT_TRUE(queue.Push(std::make_unique<int>(2)));
  auto third = std::make_unique<int>(3);
  EXPECT_FALSE(queue.Push(std::move(third)));
  EXPECT_NE(third, nullptr);
  EXPECT_EQ(queue.refused(), 1u);
  context.run();
  EXPECT_EQ(got, 2);
  EXPECT_TRUE(queue.Push(std::move(third)));
}

TEST(BoundedQueueTest, YieldsTheExecutorAfterEachSlice) {
  asio::io_context context;
  std::vector<int> order;
  BoundedQueue<int> queue(context.get_executor(), {.bound = 10, .slice = 2},
                          [&](int i) { order.push_back(i); });
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(queue.Push(int{i}));
  asio::post(context, [&] { order.push_back(100); });
  context.run();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 100, 2, 3}));
}

TEST(BoundedQueueTest, TheConsumerMayDestroyTheQueueOrPushAgain) {
  asio::io_context context;
  std::vector<int> got;
  std::optional<BoundedQueue<int>> queue;
  queue.emplace(context.get_executor(), BoundedQueueOptions{}, [&](int i) {
    got.push_back(i);
    if (i == 1) queue->Push(3);
    if (i == 3) queue.reset();
  });
  EXPECT_TRUE(queue->Push(1));
  EXPECT_TRUE(queue->Push(2));
  context.run();
  EXPECT_EQ(got, (std::vector<int>{1, 2, 3}));
}

TEST(BoundedQueueTest, ManyProducersLoseNothing) {
  asio::io_context context;
  auto work = asio::make_work_guard(context);
  constexpr int kThreads = 4, kEach = 5'000;
  int got = 0;
  BoundedQueue<int> queue(context.get_executor(), {.bound = kThreads * kEach}, [&](int) {
    if (++got == kThreads * kEach) work.reset();
  });
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) EXPECT_TRUE(queue.Push(int{i}));
    });
  }
  context.run();
  EXPECT_EQ(got, kThreads * kEach);
}

}  // namespace
}  // namespace boxkeeper::base
