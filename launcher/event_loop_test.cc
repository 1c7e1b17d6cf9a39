#include "launcher/event_loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <vector>

#include "base/core/proc.h"

namespace boxkeeper::launcher {
namespace {

TEST(EventLoopTest, TimersFireInOrderAndOnlyUncancelled) {
  EventLoop loop;
  std::vector<int> fired;
  const uint64_t now = base::BootNs();
  loop.At(now + 2'000'000, [&] { fired.push_back(3); });
  loop.At(now + 1'000'000, [&] { fired.push_back(2); });
  const auto cancelled = loop.At(now, [&] { fired.push_back(0); });
  loop.At(now, [&] { fired.push_back(1); });
  loop.Cancel(cancelled);
  while (fired.size() < 3) loop.RunOnce();
  EXPECT_EQ(fired, (std::vector<int>{1, 2, 3}));
}

TEST(EventLoopTest, AWatchMayRemoveAnotherThatIsReadyToo) {
  EventLoop loop;
  int a[2], b[2];
  ASSERT_EQ(pipe(a), 0);
  ASSERT_EQ(pipe(b), 0);
  ASSERT_EQ(write(a[1], "x", 1), 1);
  ASSERT_EQ(write(b[1], "x", 1), 1);
  int calls = 0;
  for (const int fd : {a[0], b[0]}) {
    ASSERT_EQ(loop.Add(fd, EPOLLIN,
                       [&](uint32_t) {
                         ++calls;
                         loop.Remove(a[0]);
                         loop.Remove(b[0]);
                       }),
              0);
  }
  loop.RunOnce();
  EXPECT_EQ(calls, 1);
  for (const int fd : {a[0], a[1], b[0], b[1]}) close(fd);
}

}  // namespace
}  // namespace boxkeeper::launcher
