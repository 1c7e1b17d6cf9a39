#include "logs/freed_spool.h"

#include <gtest/gtest.h>

#include <string>

#include "base/rng.h"
#include "base/testing/faulty_file_system.h"
#include "logs/redactor.h"
#include "logs/spool_reader.h"
#include "logs/testing/spool_writer.h"

namespace boxkeeper::logs {
namespace {

using base::FileOperation;

std::string Text(size_t bytes) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + i % 23);
  return text;
}

struct FreedSpoolTest : testing::Test {
  base::FaultyFileSystem files;
  SpoolWriter writer{files, "/spool/t"};
  SpoolReader reader{files, writer.spool(), nullptr};

  void Write(const std::string& text) {
    writer.Write(Stream::kStdout, text, 1);
    ASSERT_TRUE(reader.Sync().ok());
    ASSERT_TRUE(files.SyncDir("/spool/t").ok());
  }
  std::string Content() { return *files.Content(writer.spool().stdout_path()); }
};

TEST_F(FreedSpoolTest, IsAnnouncedAndIsNoDrop) {
  const std::string text = Text(20'000);
  Write(text);
  ASSERT_TRUE(FreeStored(files, writer.spool(), Stream::kStdout, 10'000, 0).ok());
  const auto before = reader.ReadAt(Stream::kStdout, 9'999, 100, {});
  ASSERT_TRUE(before.ok());
  EXPECT_TRUE(before->freed);
  EXPECT_FALSE(before->in_hole);
  EXPECT_EQ(before->data, "");
  EXPECT_EQ(before->freed_to, 10'000u);
  const auto behind = reader.ReadAt(Stream::kStdout, 10'000, 100, {});
  EXPECT_FALSE(behind->freed);
  EXPECT_EQ(behind->data, text.substr(10'000, 100));
  EXPECT_TRUE(reader.ReadHole(Stream::kStdout)->empty());
  // Whole blocks are given back.
  EXPECT_EQ(Content().substr(0, 8192), std::string(8192, '\0'));
  EXPECT_EQ(Content().substr(8192), text.substr(8192));
  // The other stream has lost nothing.
  EXPECT_EQ(*reader.ReadFreed(Stream::kStderr), 0u);
}

TEST_F(FreedSpoolTest, WhatIsLessThanABlockStays) {
  Write(Text(4'000));
  ASSERT_TRUE(FreeStored(files, writer.spool(), Stream::kStdout, 4'000, 0).ok());
  EXPECT_EQ(*reader.ReadFreed(Stream::kStdout), 0u);
}

TEST_F(FreedSpoolTest, ASecretAcrossTheSeamIsSeen) {
  const std::string secret = "hunter22-of-many-letters";
  std::string text = Text(20'000);
  for (const size_t at : {8'180, 8'190, 9'990}) text.replace(at, secret.size(), secret);
  Write(text);
  const auto redactor = std::make_shared<const Redactor>(std::vector<std::string>{secret});
  const size_t seam = 10'000;
  ASSERT_TRUE(FreeStored(files, writer.spool(), Stream::kStdout, seam, redactor->context()).ok());
  std::string expected = text;
  redactor->Redact(expected);
  SpoolReader redacting(files, writer.spool(), redactor);
  EXPECT_EQ(redacting.ReadAt(Stream::kStdout, seam, 200, {})->data, expected.substr(seam, 200));
}

TEST_F(FreedSpoolTest, AFileSystemThatCannotPunchLosesNothing) {
  const std::string text = Text(20'000);
  Write(text);
  files.SetFault([](FileOperation operation, const std::string&) {
    return operation == FileOperation::kPunch ? absl::UnimplementedError("no") : absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsUnimplemented(FreeStored(files, writer.spool(), Stream::kStdout, 10'000, 0)));
  EXPECT_EQ(Content(), text);
}

// The power goes at each step, and keeps what it likes: nothing is gone that is not announced.
TEST_F(FreedSpoolTest, APowerLossNeverLeavesZerosThatAreNotAnnounced) {
  const std::string text = Text(30'000);
  for (uint64_t step = 0; step < 24; ++step) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      base::FaultyFileSystem disk;
      SpoolWriter task(disk, "/spool/t");
      SpoolReader look(disk, task.spool(), nullptr);
      task.Write(Stream::kStdout, text, 1);
      ASSERT_TRUE(look.Sync().ok() && disk.SyncDir("/spool/t").ok());
      disk.StopAfter(step);
      for (const uint64_t to : {9'000, 20'000}) {
        FreeStored(disk, task.spool(), Stream::kStdout, to, 0).IgnoreError();
      }
      auto rng = base::MakeSeededRng(seed);
      disk.Crash(*rng);
      const auto freed = look.ReadFreed(Stream::kStdout);
      ASSERT_TRUE(freed.ok()) << freed.status();
      const auto content = disk.Content(task.spool().stdout_path());
      ASSERT_EQ(content->substr(*freed), text.substr(*freed)) << step << " " << seed;
    }
  }
}

}  // namespace
}  // namespace boxkeeper::logs
