#include "cli/console.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "absl/synchronization/notification.h"

namespace boxkeeper::cli {
namespace {

TEST(ConsoleTest, CountsInterruptsWhileWatched) {
  Console console = RealConsole();
  absl::Notification first, second;
  auto watch = console.watch_interrupts([&](int count) {
    if (count == 1) first.Notify();
    if (count == 2) second.Notify();
  });
  ASSERT_EQ(::kill(::getpid(), SIGINT), 0);
  first.WaitForNotification();
  ASSERT_EQ(::kill(::getpid(), SIGTERM), 0);
  second.WaitForNotification();
}

TEST(ConsoleTest, TheMaskIsRestored) {
  Console console = RealConsole();
  console.watch_interrupts([](int) {}).reset();
  sigset_t mask;
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, nullptr, &mask), 0);
  EXPECT_EQ(::sigismember(&mask, SIGINT), 0);
}

TEST(ConsoleTest, ReadsTheEnvironment) {
  ::setenv("BOXCTL_CONSOLE_TEST", "", 1);
  Console console = RealConsole();
  EXPECT_EQ(console.env("BOXCTL_CONSOLE_TEST"), "");
  EXPECT_EQ(console.env("BOXCTL_NOT_SET"), std::nullopt);
}

TEST(ConsoleTest, NoColourWithoutATerminal) {
  Console console = RealConsole();
  if (console.out_is_terminal) GTEST_SKIP() << "run on a terminal";
  EXPECT_FALSE(console.colour);
}

}  // namespace
}  // namespace boxkeeper::cli
