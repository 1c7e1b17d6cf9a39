#include "logs/file_store.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "base/testing/fake_clock.h"
#include "base/testing/faulty_file_system.h"
#include "logs/airflow_piece.h"
#include "logs/testing/run_awaitable.h"

namespace boxkeeper::logs {
namespace {

namespace asio = boost::asio;

Piece PieceOf(std::string name, const std::string& content) {
  Piece piece{.name = std::move(name), .size = content.size(), .sha256 = base::Sha256(content)};
  piece.open = TextOpener(std::make_shared<const std::string>(content));
  return piece;
}

class FileStoreTest : public testing::Test {
 protected:
  std::unique_ptr<FileStore> Open(base::FileSystem& files, const std::string& directory) {
    auto store =
        FileStore::Create({files, context_.get_executor()}, absl::StrCat("file://", directory));
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  template <typename T>
  T Run(asio::awaitable<T> call) {
    return RunAwaitable(context_, clock_, std::move(call));
  }
  absl::Status Write(const std::string& name, uint64_t offset, const std::string& data) {
    return Run(store_->WriteAt(name, offset, data));
  }

  asio::io_context context_;
  base::FakeClock clock_{context_};
  base::FaultyFileSystem files_;
  std::unique_ptr<FileStore> store_ = Open(files_, "/logs");
};

TEST_F(FileStoreTest, RefusesOtherUrls) {
  EXPECT_FALSE(FileStore::Create({files_, context_.get_executor()}, "s3://bucket").ok());
}

TEST_F(FileStoreTest, AnObjectGrowsAtItsOffsetsAndRepeatsChangeNothing) {
  ASSERT_TRUE(Write("a/b/stdout", 0, "hello ").ok());
  ASSERT_TRUE(Write("a/b/stdout", 6, "world").ok());
  ASSERT_TRUE(Write("a/b/stdout", 6, "world").ok());
  EXPECT_EQ(*files_.Content("/logs/a/b/stdout"), "hello world");
  EXPECT_EQ(*Run(store_->Read("a/b/stdout", 6, 100)), "world");
  EXPECT_EQ(*Run(store_->Read("a/b/stdout", 2, 3)), "llo");
  EXPECT_TRUE(absl::IsNotFound(Run(store_->Read("a/b/none", 0, 1)).status()));
}

TEST_F(FileStoreTest, OffsetZeroBeginsAnew) {
  ASSERT_TRUE(Write("x", 0, "of an earlier task").ok());
  ASSERT_TRUE(Write("x", 0, "new").ok());
  EXPECT_EQ(*files_.Content("/logs/x"), "new");
}

TEST_F(FileStoreTest, NeverLeavesAGapAndCutsLeftOvers) {
  ASSERT_TRUE(Write("x", 0, "12345").ok());
  EXPECT_TRUE(absl::IsOutOfRange(Write("x", 6, "z")));
  EXPECT_TRUE(absl::IsOutOfRange(Run(store_->Sync("x", 6))));
  EXPECT_TRUE(absl::IsOutOfRange(Run(store_->Sync("y", 1))));
  ASSERT_TRUE(Run(store_->Sync("x", 3)).ok());
  EXPECT_EQ(*files_.Content("/logs/x"), "123");
}

TEST_F(FileStoreTest, WhatIsSyncedSurvivesAPowerLoss) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    base::FaultyFileSystem files;
    auto store = Open(files, "/deep/er/logs");
    ASSERT_TRUE(Run(store->WriteAt("a/b/c/stdout", 0, "hello")).ok());
    ASSERT_TRUE(Run(store->Sync("a/b/c/stdout", 5)).ok());
    ASSERT_TRUE(Run(store->Put(PieceOf("a/b/d.0001", "piece"))).ok());
    auto rng = base::MakeSeededRng(seed);
    files.Crash(*rng);
    ASSERT_EQ(*files.Content("/deep/er/logs/a/b/c/stdout"), "hello") << seed;
    ASSERT_EQ(*files.Content("/deep/er/logs/a/b/d.0001"), "piece") << seed;
  }
}

TEST_F(FileStoreTest, APieceIsThereWholeOrNotAtAll) {
  const Piece piece = PieceOf("d/attempt=1.log.0001", "some bytes");
  uint64_t steps = 0;
  for (bool finished = false; !finished; ++steps) {
    base::FaultyFileSystem files;
    auto store = Open(files, "/logs");
    files.StopAfter(steps);
    finished = Run(store->Put(piece)).ok();
    auto rng = base::MakeSeededRng(steps);
    files.Crash(*rng);
    auto names = Run(store->List("d/attempt=1.log"));
    ASSERT_TRUE(names.ok()) << names.status();
    for (const std::string& name : *names) {
      EXPECT_EQ(name, piece.name);
      EXPECT_EQ(*files.Content("/logs/" + name), "some bytes");
    }
    EXPECT_TRUE(!finished || names->size() == 1);
    // A repeat after the crash succeeds.
    EXPECT_TRUE(Run(store->Put(piece)).ok());
    EXPECT_EQ(*files.Content("/logs/d/attempt=1.log.0001"), "some bytes");
  }
  EXPECT_GT(steps, 5u);
}

TEST_F(FileStoreTest, APieceThatIsNotWhatWasAnnouncedIsNotStored) {
  Piece piece = PieceOf("p", "some bytes");
  piece.sha256[0] ^= 1;
  EXPECT_TRUE(absl::IsDataLoss(Run(store_->Put(piece))));
  EXPECT_TRUE(absl::IsNotFound(Run(store_->Read("p", 0, 1)).status()));
  Piece longer = PieceOf("p", "some bytes");
  longer.size += 1;
  EXPECT_TRUE(absl::IsDataLoss(Run(store_->Put(longer))));
  EXPECT_TRUE(Run(store_->List("p"))->empty());
}

TEST_F(FileStoreTest, ExtendReplacesWhatIsBehindAndIsWholeOrNotAtAll) {
  EXPECT_TRUE(absl::IsOutOfRange(Run(store_->Extend(1, PieceOf("d/x", "tail")))));
  ASSERT_TRUE(Run(store_->Extend(0, PieceOf("d/x", "hello "))).ok());
  EXPECT_TRUE(absl::IsOutOfRange(Run(store_->Extend(7, PieceOf("d/x", "tail")))));
  EXPECT_EQ(*files_.Content("/logs/d/x"), "hello ");
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(Run(store_->Extend(6, PieceOf("d/x", "world"))).ok());
    EXPECT_EQ(*files_.Content("/logs/d/x"), "hello world");
  }
  uint64_t steps = 0;
  for (bool finished = false; !finished; ++steps) {
    base::FaultyFileSystem files;
    auto store = Open(files, "/logs");
    ASSERT_TRUE(Run(store->Put(PieceOf("d/x", "hello there"))).ok());
    files.StopAfter(steps);
    finished = Run(store->Extend(6, PieceOf("d/x", "world"))).ok();
    auto rng = base::MakeSeededRng(steps);
    files.Crash(*rng);
    const std::string content = *files.Content("/logs/d/x");
    EXPECT_TRUE(content == "hello world" || (!finished && content == "hello there")) << content;
  }
  EXPECT_GT(steps, 5u);
}

TEST_F(FileStoreTest, RemovesForGood) {
  ASSERT_TRUE(Run(store_->Put(PieceOf("d/x", "1"))).ok());
  EXPECT_TRUE(Run(store_->Remove("d/x")).ok());
  EXPECT_TRUE(Run(store_->Remove("d/x")).ok());
  EXPECT_TRUE(Run(store_->Remove("none/x")).ok());
  auto rng = base::MakeSeededRng(1);
  files_.Crash(*rng);
  EXPECT_TRUE(Run(store_->List("d/"))->empty());
}

TEST_F(FileStoreTest, ListsByPrefixSorted) {
  for (const char* name : {"d/x.log.2", "d/x.log.1", "d/y.log", "e/x.log.3"}) {
    ASSERT_TRUE(Run(store_->Put(PieceOf(name, "1"))).ok());
  }
  EXPECT_EQ(*Run(store_->List("d/x.log")), (std::vector<std::string>{"d/x.log.1", "d/x.log.2"}));
  EXPECT_TRUE(Run(store_->List("none/x"))->empty());
}

TEST_F(FileStoreTest, RefusesNamesThatLeaveTheBase) {
  for (const char* name : {"", "/x", "../x", "a/../x", "a//x", "a/."}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Write(name, 0, "x"))) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(Run(store_->Put(PieceOf(name, "x"))))) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(Run(store_->Read(name, 0, 1)).status())) << name;
  }
}

TEST_F(FileStoreTest, AFullDiskIsWorthARetry) {
  files_.SetCapacity(3);
  EXPECT_TRUE(absl::IsResourceExhausted(Write("x", 0, "12345")));
  files_.SetCapacity(std::nullopt);
  EXPECT_TRUE(Write("x", 0, "12345").ok());
  files_.SetFault([](base::FileOperation operation, const std::string&) {
    return operation == base::FileOperation::kSync ? absl::DataLossError("I/O error")
                                                   : absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsUnavailable(Run(store_->Sync("x", 5))));
}

TEST_F(FileStoreTest, LeavesSpareRoomOnTheDisk) {
  constexpr uint64_t kSpare = 12 << 20;
  ASSERT_TRUE(Write("x", 0, "abc").ok());
  files_.SetCapacity(kSpare + 2);
  EXPECT_TRUE(absl::IsResourceExhausted(Write("x", 3, "def")));
  EXPECT_TRUE(absl::IsResourceExhausted(Run(store_->Put(PieceOf("p", "text")))));
  files_.SetCapacity(kSpare + 3);
  EXPECT_TRUE(Write("x", 3, "def").ok());
}

TEST_F(FileStoreTest, CheckSaysWhatToFix) {
  EXPECT_TRUE(Run(store_->Check()).ok());
  files_.SetFault([](base::FileOperation operation, const std::string&) {
    return operation == base::FileOperation::kOpen ? absl::PermissionDeniedError("denied")
                                                   : absl::OkStatus();
  });
  const absl::Status status = Run(store_->Check());
  EXPECT_TRUE(absl::IsPermissionDenied(status));
  EXPECT_NE(std::string(status.message()).find("file:///logs"), std::string::npos) << status;
}

TEST_F(FileStoreTest, ModesOnARealDisk) {
  std::string directory = testing::TempDir() + "/file_store_XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  auto files = base::MakeRealFileSystem();
  auto store = Open(*files, directory);
  ASSERT_TRUE(Run(store->WriteAt("a/stdout", 0, "x")).ok());
  ASSERT_TRUE(Run(store->Sync("a/stdout", 1)).ok());
  ASSERT_TRUE(Run(store->Put(PieceOf("a/piece", "y"))).ok());
  struct stat info{};
  ASSERT_EQ(stat((directory + "/a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0750u);
  ASSERT_EQ(stat((directory + "/a/piece").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0640u);
  EXPECT_TRUE(Run(store->Check()).ok());
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace boxkeeper::logs
