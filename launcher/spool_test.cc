#include "launcher/spool.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace boxkeeper::launcher {
namespace {

std::string Content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

class SpoolTest : public ::testing::Test {
 protected:
  SpoolTest() {
    spec_.stdout_path = path_ + "/out";
    spec_.stderr_path = path_ + "/err";
    spec_.index_path = path_ + "/index";
  }
  ~SpoolTest() override { std::filesystem::remove_all(path_); }

  static std::string MakeDirectory() {
    std::string path = ::testing::TempDir() + "/spool_XXXXXX";
    return mkdtemp(path.data());
  }
  void Open() {
    std::string error;
    ASSERT_TRUE(spool_.Open(spec_, &error)) << error;
  }
  void Write(size_t stream, const std::string& bytes) {
    ASSERT_EQ(write(spool_.write_end(stream), bytes.data(), bytes.size()),
              static_cast<ssize_t>(bytes.size()));
  }

  const std::string path_ = MakeDirectory();
  LaunchSpec spec_;
  Spool spool_;
};

TEST_F(SpoolTest, AStreamWithoutBytesHasNoFile) {
  Open();
  EXPECT_EQ(spool_.Pump(0), Spool::PumpResult::kEmpty);
  spool_.CloseWriteEnds();
  EXPECT_EQ(spool_.Pump(0), Spool::PumpResult::kEnd);
  EXPECT_EQ(spool_.Pump(1), Spool::PumpResult::kEnd);
  EXPECT_TRUE(std::filesystem::is_empty(path_));
}

TEST_F(SpoolTest, MakesTheFolderForTheFirstByte) {
  spec_.stdout_path = path_ + "/folder/out";
  spec_.index_path = path_ + "/folder/index";
  Open();
  Write(0, "abc");
  spool_.CloseWriteEnds();
  EXPECT_EQ(spool_.Pump(0), Spool::PumpResult::kMoved);
  EXPECT_EQ(spool_.Pump(0), Spool::PumpResult::kEnd);
  EXPECT_EQ(Content(spec_.stdout_path), "abc");
  struct stat folder{};
  ASSERT_EQ(stat((path_ + "/folder").c_str(), &folder), 0);
  EXPECT_EQ(folder.st_mode & 0777, 0700u);
}

TEST_F(SpoolTest, OutputWaitsWhileItsFileCannotBeMade) {
  spec_.stdout_path = path_ + "/absent/folder/out";
  spec_.index_path = path_ + "/absent/folder/index";
  Open();
  Write(0, "abc");
  EXPECT_EQ(spool_.Pump(0), Spool::PumpResult::kStalled);
  EXPECT_NE(spool_.stall_reason().find(spec_.index_path), std::string::npos);
  std::filesystem::create_directory(path_ + "/absent");
  EXPECT_EQ(spool_.Pump(0), Spool::PumpResult::kMoved);
  EXPECT_EQ(Content(spec_.stdout_path), "abc");
}

TEST_F(SpoolTest, MovesWhatIsThereAndSeesTheEnd) {
  Open();
  EXPECT_EQ(spool_.Pump(0), Spool::PumpResult::kEmpty);
  Write(0, "abc");
  EXPECT_EQ(spool_.WaitingBytes(0), 3u);
  EXPECT_EQ(spool_.Pump(0), Spool::PumpResult::kMoved);
  spool_.CloseWriteEnds();
  EXPECT_EQ(spool_.Pump(0), Spool::PumpResult::kEnd);
  EXPECT_EQ(spool_.Pump(1), Spool::PumpResult::kEnd);
  EXPECT_EQ(Content(spec_.stdout_path), "abc");
  EXPECT_EQ(Content(spec_.index_path).size(), base::kIndexRecordBytes);
}

TEST_F(SpoolTest, RefusesAFileThatHasBytesOfSomethingElse) {
  std::ofstream(spec_.stderr_path) << "old";
  std::string error;
  EXPECT_FALSE(spool_.Open(spec_, &error));
  EXPECT_NE(error.find("is not empty"), std::string::npos) << error;
}

TEST_F(SpoolTest, AFullDiskStallsAndLosesNothing) {
  spec_.stdout_path = "/dev/full";
  Open();
  Write(0, "abc");
  EXPECT_EQ(spool_.Pump(0), Spool::PumpResult::kStalled);
  EXPECT_NE(spool_.stall_reason(), "");
  EXPECT_EQ(spool_.WaitingBytes(0), 3u);
  EXPECT_EQ(spool_.bytes(0), 0u);
  // The other stream is not held up.
  Write(1, "x");
  EXPECT_EQ(spool_.Pump(1), Spool::PumpResult::kMoved);
}

TEST_F(SpoolTest, LeavesSpareRoomOnTheDiskButForTheEnd) {
  Spool spool(/*spare_bytes=*/1ull << 60);
  std::string error;
  ASSERT_TRUE(spool.Open(spec_, &error)) << error;
  ASSERT_EQ(write(spool.write_end(0), "abc", 3), 3);
  EXPECT_EQ(spool.Pump(0), Spool::PumpResult::kStalled);
  EXPECT_NE(spool.stall_reason().find("No space"), std::string::npos) << spool.stall_reason();
  EXPECT_EQ(spool.Pump(0, /*past_limit=*/true), Spool::PumpResult::kMoved);
  EXPECT_EQ(Content(spec_.stdout_path), "abc");
}

TEST_F(SpoolTest, AFullSpoolDirectoryStopsReadingUntilThereIsRoom) {
  spec_.stdout_path = path_ + "/folder/out";
  spec_.stderr_path = path_ + "/folder/err";
  spec_.index_path = path_ + "/folder/index";
  spec_.overflow = OverflowPolicy::kBlock;
  Open();
  Write(0, "a");
  EXPECT_EQ(spool_.Pump(0), Spool::PumpResult::kMoved);
  std::ofstream(path_ + "/.full").flush();
  Write(0, "b");
  EXPECT_EQ(spool_.Pump(0), Spool::PumpResult::kStalled);
  EXPECT_EQ(spool_.stall_reason(), "the spool directory is full");
  std::filesystem::remove(path_ + "/.full");
  EXPECT_EQ(spool_.Pump(0), Spool::PumpResult::kMoved);
  EXPECT_EQ(Content(spec_.stdout_path), "ab");
}

// What the daemon punches out is room again, however long the stream is.
TEST_F(SpoolTest, WhatIsFreedIsReadOnInto) {
  std::filesystem::create_directory(path_ + "/folder");
  spec_.stdout_path = path_ + "/folder/out";
  spec_.stderr_path = path_ + "/folder/err";
  spec_.index_path = path_ + "/folder/index";
  spec_.overflow = OverflowPolicy::kBlock;
  spec_.log_bytes_max = 256 * 1024;
  const std::string waiting = path_ + "/folder/" + base::kSpoolWaitingName;
  Open();
  const std::string block(64 * 1024, 'x');
  const auto fill = [&] {
    for (int blocks = 0;; ++blocks) {
      if (spool_.WaitingBytes(0) == 0) Write(0, block);
      if (spool_.Pump(0) == Spool::PumpResult::kStalled) return blocks;
    }
  };
  EXPECT_EQ(fill(), 4);
  EXPECT_EQ(spool_.stall_reason(), "the log limit is reached");
  EXPECT_TRUE(std::filesystem::exists(waiting));
  for (int round = 1; round < 20; ++round) {
    const auto freed = static_cast<off_t>(spool_.bytes(0) - 64 * 1024);
    const base::UniqueFd file(open(spec_.stdout_path.c_str(), O_WRONLY));
    if (fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, freed) != 0) {
      GTEST_SKIP() << "this file system cannot punch";
    }
    EXPECT_EQ(spool_.Pump(0), Spool::PumpResult::kMoved);
    EXPECT_FALSE(std::filesystem::exists(waiting));
    EXPECT_EQ(fill(), 2);
    EXPECT_TRUE(std::filesystem::exists(waiting));
  }
  EXPECT_EQ(spool_.dropped_bytes(0), 0u);
  const std::string bytes = Content(spec_.stdout_path);
  EXPECT_EQ(bytes.size(), spool_.bytes(0));
  EXPECT_EQ(bytes.substr(bytes.size() - 256 * 1024), std::string(256 * 1024, 'x'));
}

TEST_F(SpoolTest, AFullSpoolDirectoryKeepsACommandWithinWhatItHad) {
  spec_.stdout_path = path_ + "/folder/out";
  spec_.stderr_path = path_ + "/folder/err";
  spec_.index_path = path_ + "/folder/index";
  Open();
  const std::string block(64 * 1024, 'x');
  const auto pump = [&](int blocks) {
    for (int i = 0; i < blocks; ++i) {
      Write(0, block);
      ASSERT_EQ(spool_.Pump(0), Spool::PumpResult::kMoved);
    }
  };
  pump(32);
  std::ofstream(path_ + "/.full").flush();
  pump(100);
  const uint64_t had = 32 * block.size();
  EXPECT_LE(spool_.bytes(0) - spool_.dropped_bytes(0), had);
  EXPECT_GE(spool_.bytes(0) - spool_.dropped_bytes(0), had / 2);
  std::filesystem::remove(path_ + "/.full");
  const uint64_t dropped = spool_.dropped_bytes(0);
  pump(100);
  EXPECT_EQ(spool_.dropped_bytes(0), dropped);
}

TEST_F(SpoolTest, AFullIndexStallsBeforeMoreIsTaken) {
  spec_.index_path = "/dev/full";
  Open();
  Write(0, "a");
  EXPECT_EQ(spool_.Pump(0), Spool::PumpResult::kMoved);
  Write(0, "b");
  EXPECT_EQ(spool_.Pump(0), Spool::PumpResult::kStalled);
  EXPECT_EQ(Content(spec_.stdout_path), "a");
}

// One stream alone may use the whole limit; both are cut so that their sum stays below it.
TEST_F(SpoolTest, DropsOnlyWhenBothTogetherReachTheLimit) {
  spec_.log_bytes_max = 64 * 1024;
  Open();
  const std::string chunk(8 * 1024, 'c');
  const auto feed = [&](size_t stream, int chunks) {
    for (int i = 0; i < chunks; ++i) {
      Write(stream, chunk);
      EXPECT_EQ(spool_.Pump(stream), Spool::PumpResult::kMoved);
    }
  };
  feed(0, 8);
  EXPECT_EQ(spool_.dropped_bytes(0), 0u);
  feed(1, 1);
  EXPECT_EQ(spool_.dropped_bytes(0), 32u * 1024);
  EXPECT_EQ(spool_.dropped_bytes(1), 0u);
  feed(1, 7);
  feed(0, 8);
  const uint64_t stored =
      spool_.bytes(0) + spool_.bytes(1) - spool_.dropped_bytes(0) - spool_.dropped_bytes(1);
  EXPECT_LE(stored, spec_.log_bytes_max + chunk.size());
  for (const size_t stream : {0, 1}) {
    const std::string path = stream == 0 ? spec_.stdout_path : spec_.stderr_path;
    const std::string bytes = Content(path);
    ASSERT_EQ(bytes.size(), spool_.bytes(stream));
    const auto drop = base::ParseDropRecord(Content(path + ".drop"));
    ASSERT_TRUE(drop);
    EXPECT_EQ(drop->from, 16u * 1024);
    EXPECT_GE(bytes.size() - drop->to, 16u * 1024);
    EXPECT_EQ(bytes.substr(drop->to), std::string(bytes.size() - drop->to, 'c'));
  }
}

}  // namespace
}  // namespace boxkeeper::launcher
