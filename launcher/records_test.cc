#include "launcher/records.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

namespace boxkeeper::launcher {
namespace {

TEST(RecordsTest, SurviveTheDisk) {
  const BootRecord boot{"id", "name", std::string("l\0", 2), "boot", 5};
  BootRecord boot_again;
  ASSERT_TRUE(DecodeRecord(EncodeRecord(boot), &boot_again));
  EXPECT_EQ(EncodeRecord(boot_again), EncodeRecord(boot));

  const StartedRecord started{"exec", "boot", 7};
  StartedRecord started_again;
  ASSERT_TRUE(DecodeRecord(EncodeRecord(started), &started_again));
  EXPECT_EQ(EncodeRecord(started_again), EncodeRecord(started));

  const PidRecord pid{1, 2, 3, 4, 5, 6, "none", ""};
  PidRecord pid_again;
  ASSERT_TRUE(DecodeRecord(EncodeRecord(pid), &pid_again));
  EXPECT_EQ(EncodeRecord(pid_again), EncodeRecord(pid));

  ExitRecord exit;
  exit.kind = EndKind::kExited;
  exit.wait_status = W_EXITCODE(7, 0);
  ExitRecord exit_again;
  ASSERT_TRUE(DecodeRecord(EncodeRecord(exit), &exit_again));
  EXPECT_EQ(EncodeRecord(exit_again), EncodeRecord(exit));
  EXPECT_EQ(exit_again.ExitCode(), 7);
}

TEST(RecordsTest, RefuseEveryTruncationAndEveryFlippedBit) {
  const std::string bytes = EncodeRecord(PidRecord{1, 2, 3, 4, 5, 6, "none", ""});
  PidRecord record;
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(DecodeRecord(bytes.substr(0, length), &record));
  }
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    EXPECT_FALSE(DecodeRecord(damaged, &record)) << bit;
  }
}

TEST(RecordsTest, AreNotTakenForOneAnother) {
  StartedRecord started;
  EXPECT_FALSE(DecodeRecord(EncodeRecord(PidRecord{}), &started));
}

TEST(RecordsTest, IgnoreThePaddingOfAPreallocatedFile) {
  ExitRecord exit, again;
  exit.exec_id = "e";
  EXPECT_TRUE(DecodeRecord(EncodeRecord(exit) + std::string(100, '\0'), &again));
  EXPECT_EQ(again.exec_id, "e");
}

}  // namespace
}  // namespace boxkeeper::launcher
