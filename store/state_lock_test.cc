#include "store/state_lock.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/testing/faulty_file_system.h"

namespace boxkeeper::store {
namespace {

TEST(StateLockTest, TheSecondHolderIsRefusedAndToldOfTheFirst) {
  base::FaultyFileSystem fs;
  auto first = StateLock::Acquire(fs, "/var/state");
  ASSERT_TRUE(first.ok()) << first.status();
  auto second = StateLock::Acquire(fs, "/var/state");
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(second.status().message(),
            "/var/state: in use by another boxkeeperd (pid " + std::to_string(getpid()) + ")");
  *first = nullptr;
  EXPECT_TRUE(StateLock::Acquire(fs, "/var/state").ok());
}

TEST(StateLockTest, AFullDiskDoesNotKeepTheHolderOut) {
  base::FaultyFileSystem fs;
  fs.SetCapacity(0);
  EXPECT_TRUE(StateLock::Acquire(fs, "/var/state").ok());
}

}  // namespace
}  // namespace boxkeeper::store
