#include "logs/pulled_spool.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/core/spool_format.h"
#include "base/rng.h"
#include "base/testing/faulty_file_system.h"
#include "logs/spool_reader.h"

namespace boxkeeper::logs {
namespace {

const SpoolFiles kFiles("/spool/t");

// Byte i of the stream that is pulled.
std::string Source(uint64_t from, uint64_t size) {
  std::string bytes;
  for (uint64_t i = from; i < from + size; ++i) bytes.push_back(static_cast<char>('a' + i % 23));
  return bytes;
}

class PulledSpoolTest : public ::testing::Test {
 protected:
  PulledSpoolTest() { EXPECT_TRUE(fs_.MakeDirectories("/spool", 0700).ok()); }

  PulledSpool Open(SpoolLimit limit = {}) {
    PulledSpool spool(fs_, kFiles, limit);
    const absl::Status loaded = spool.Load();
    EXPECT_TRUE(loaded.ok()) << loaded;
    return spool;
  }

  absl::Status Next(PulledSpool& spool, uint64_t size, Stream stream = Stream::kStdout) {
    return spool.Append(stream, Source(spool.length(stream), size), 1'000);
  }

  // Every record begins where the one before of its stream ended; what they cover together.
  uint64_t Indexed(Stream stream) {
    SpoolReader reader(fs_, kFiles, nullptr);
    const auto bytes = reader.ReadIndex(0, 10'000);
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    uint64_t end = 0;
    for (std::string_view rest = *bytes; !rest.empty();
         rest.remove_prefix(base::kIndexRecordBytes)) {
      const auto record = base::ParseIndexRecord(rest);
      EXPECT_TRUE(record.has_value());
      if (!record || (record->stream == base::SpoolStream::kStdout) != (stream == Stream::kStdout))
        continue;
      EXPECT_EQ(record->offset, end);
      end += record->length;
    }
    return end;
  }

  std::string Content(Stream stream = Stream::kStdout) {
    return fs_.Content(kFiles.path(stream)).value_or("");
  }

  base::FaultyFileSystem fs_;
};

TEST_F(PulledSpoolTest, GoesOnWhereItEnded) {
  {
    PulledSpool spool = Open();
    EXPECT_EQ(spool.length(Stream::kStdout), 0u);
    ASSERT_TRUE(Next(spool, 10).ok());
    ASSERT_TRUE(Next(spool, 3, Stream::kStderr).ok());
  }
  PulledSpool spool = Open();
  EXPECT_EQ(spool.length(Stream::kStdout), 10u);
  EXPECT_EQ(spool.length(Stream::kStderr), 3u);
  ASSERT_TRUE(Next(spool, 5).ok());
  EXPECT_EQ(Content(), Source(0, 15));
  EXPECT_EQ(Indexed(Stream::kStdout), 15u);
  EXPECT_EQ(Indexed(Stream::kStderr), 3u);
}

TEST_F(PulledSpoolTest, ASilentTaskHasNoFolder) {
  PulledSpool spool = Open();
  EXPECT_TRUE(spool.Sync().ok());
  EXPECT_FALSE(*fs_.Exists("/spool/t"));
}

TEST_F(PulledSpoolTest, BytesThatNoRecordCoversAreFetchedAgain) {
  PulledSpool first = Open();
  ASSERT_TRUE(Next(first, 4).ok());
  auto file = fs_.Open(kFiles.stdout_path(), {.write = true});
  ASSERT_TRUE((*file)->Append("torn").ok());
  auto index = fs_.Open(kFiles.index_path(), {.write = true});
  ASSERT_TRUE((*index)->Append("half a record").ok());

  PulledSpool spool = Open();
  EXPECT_EQ(spool.length(Stream::kStdout), 4u);
  ASSERT_TRUE(Next(spool, 8).ok());
  EXPECT_EQ(Content(), Source(0, 12));
  EXPECT_EQ(Indexed(Stream::kStdout), 12u);
}

// Dies before each operation on the disk, as a process and with the machine; the next one goes on.
class PulledSpoolCrashTest : public ::testing::TestWithParam<bool> {};

TEST_P(PulledSpoolCrashTest, WhereverItDiesNothingIsLostOrTwice) {
  const auto rng = base::MakeSeededRng(7);
  bool survived = false;
  for (int die_at = 0; !survived; ++die_at) {
    SCOPED_TRACE(absl::StrCat("at operation ", die_at));
    base::FaultyFileSystem fs;
    ASSERT_TRUE(fs.MakeDirectories("/spool", 0700).ok());
    int operations = 0;
    fs.SetFault([&operations, die_at](base::FileOperation, const std::string&) -> absl::Status {
      if (operations++ < die_at) return absl::OkStatus();
      return absl::DataLossError("dead");
    });
    {
      PulledSpool spool(fs, kFiles, {});
      absl::Status alive = spool.Load();
      for (int i = 0; i < 6 && alive.ok(); ++i) {
        const Stream stream = i % 3 == 2 ? Stream::kStderr : Stream::kStdout;
        alive = spool.Append(stream, Source(spool.length(stream), 7), i);
      }
      if (alive.ok()) alive = spool.Sync();
      survived = alive.ok();
    }
    fs.SetFault(nullptr);
    GetParam() ? fs.Crash(*rng) : fs.KillProcess();
    PulledSpool spool(fs, kFiles, {});
    ASSERT_TRUE(spool.Load().ok());
    if (survived) {
      EXPECT_EQ(spool.length(Stream::kStdout), 28u);
      EXPECT_EQ(spool.length(Stream::kStderr), 14u);
    }
    for (const Stream stream : {Stream::kStdout, Stream::kStderr}) {
      const std::string found = fs.Content(kFiles.path(stream)).value_or("");
      ASSERT_LE(spool.length(stream), found.size());
      ASSERT_EQ(found.substr(0, spool.length(stream)), Source(0, spool.length(stream)));
      while (spool.length(stream) < 40) {
        const uint64_t left = 40 - spool.length(stream);
        const std::string next = Source(spool.length(stream), std::min<uint64_t>(left, 9));
        ASSERT_TRUE(spool.Append(stream, next, 9).ok());
      }
      EXPECT_EQ(*fs.Content(kFiles.path(stream)), Source(0, 40));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Deaths, PulledSpoolCrashTest, ::testing::Bool(),
                         [](const auto& power) { return power.param ? "PowerCut" : "Kill"; });

TEST_F(PulledSpoolTest, OverTheLimitTheMiddleGoes) {
  PulledSpool spool = Open({.bytes_max = 40'000});
  EXPECT_EQ(spool.step(1 << 20), 10'000u);
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(Next(spool, 10'000).ok());
  EXPECT_EQ(spool.length(Stream::kStdout), 120'000u);
  SpoolReader reader(fs_, kFiles, nullptr);
  const auto hole = reader.ReadHole(Stream::kStdout);
  ASSERT_TRUE(hole.ok()) << hole.status();
  EXPECT_EQ(hole->from, 10'000u);
  EXPECT_EQ(hole->to, 90'000u);
  EXPECT_EQ(spool.dropped_bytes(), 80'000u);

  PulledSpool next = Open({.bytes_max = 40'000});
  EXPECT_EQ(next.length(Stream::kStdout), 120'000u);
  EXPECT_EQ(next.dropped_bytes(), 80'000u);
}

TEST_F(PulledSpoolTest, WhereItBlocksNothingMoreIsTakenAndTheRestIsDroppedAtTheEnd) {
  PulledSpool spool = Open({.bytes_max = 8'192, .block = true});
  ASSERT_TRUE(Next(spool, 4'096).ok());
  EXPECT_FALSE(spool.full());
  ASSERT_TRUE(Next(spool, 4'096).ok());
  EXPECT_TRUE(spool.full());
  EXPECT_TRUE(absl::IsResourceExhausted(Next(spool, 1)));
  ASSERT_TRUE(spool.GiveUp(Stream::kStdout, 20'000).ok());
  EXPECT_EQ(spool.length(Stream::kStdout), 20'000u);
  EXPECT_EQ(spool.dropped_bytes(), 20'000u - 8'192u);

  PulledSpool next = Open({.bytes_max = 8'192, .block = true});
  EXPECT_EQ(next.length(Stream::kStdout), 20'000u);
  SpoolReader reader(fs_, kFiles, nullptr);
  EXPECT_EQ(reader.ReadAt(Stream::kStdout, 0, 1 << 20, 20'000)->data, Source(0, 8'192));
  EXPECT_TRUE(reader.ReadAt(Stream::kStdout, 8'192, 1 << 20, 20'000)->in_hole);
}

TEST_F(PulledSpoolTest, AFullDiskTakesNothingAndGoesOnWhenThereIsRoom) {
  PulledSpool spool = Open();
  ASSERT_TRUE(Next(spool, 10).ok());
  fs_.SetCapacity(PulledSpool::kSpareBytes);
  EXPECT_TRUE(absl::IsResourceExhausted(Next(spool, 10)));
  EXPECT_EQ(spool.length(Stream::kStdout), 10u);
  fs_.SetCapacity(std::nullopt);
  ASSERT_TRUE(Next(spool, 10).ok());
  EXPECT_EQ(Content(), Source(0, 20));
}

TEST(PulledSpoolOnDiskTest, WhatIsDroppedTakesNoRoom) {
  std::string folder = "/tmp/bk-pulled-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const auto fs = base::MakeRealFileSystem();
  PulledSpool spool(*fs, SpoolFiles(folder + "/t"), {.bytes_max = 4 << 20});
  ASSERT_TRUE(spool.Load().ok());
  for (int i = 0; i < 16; ++i) {
    ASSERT_TRUE(spool.Append(Stream::kStdout, std::string(1 << 20, 'x'), 1).ok());
  }
  ASSERT_TRUE(spool.Sync().ok());
  struct stat status{};
  ASSERT_EQ(stat((folder + "/t/stdout").c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 16 << 20);
  EXPECT_LE(status.st_blocks * 512, 5 << 20);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace boxkeeper::logs
