// Real files, a real pool and real time: large and odd output arrives byte for byte, in flat
// memory.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/hex.h"
#include "base/real_clock.h"
#include "base/rng.h"
#include "base/sha256.h"
#include "boost/json.hpp"
#include "logs/file_store.h"
#include "logs/log_shipper.h"
#include "logs/testing/fake_log_journal.h"
#include "logs/testing/spool_writer.h"

namespace boxkeeper::logs {
namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BK_SANITIZED 1
#endif
#endif
#ifdef BK_SANITIZED
constexpr uint64_t kBigBytes =
    64ull << 20;  // and memory is not measured: the sanitizer keeps what is freed
#else
constexpr uint64_t kBigBytes = 512ull << 20;
#endif
[[maybe_unused]] constexpr uint64_t kMaxGrowthKiB = 64 * 1024;

uint64_t ResidentKiB(const char* field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field)) return std::stoull(line.substr(std::string(field).size() + 1));
  }
  return 0;
}

void ExpectFlatMemory([[maybe_unused]] uint64_t before_kib) {
#ifndef BK_SANITIZED
  EXPECT_LT(ResidentKiB("VmHWM:"), before_kib + kMaxGrowthKiB);
#endif
}

class LogShipperLargeTest : public testing::Test {
 protected:
  LogShipperLargeTest() : directory_(testing::TempDir() + "/shipper_XXXXXX") {
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    store_ = *FileStore::Create({*files_, pool_.get_executor()},
                                absl::StrCat("file://", directory_, "/logs"));
    shipper_ = std::make_unique<LogShipper>(
        LogShipper::Deps{.clock = *clock_,
                         .rng = *rng_,
                         .files = *files_,
                         .store = *store_,
                         .journal = journal_,
                         .loop = loop_.get_executor(),
                         .pool = pool_.get_executor(),
                         .on_complete = [this](base::TaskId) { ++completed_; },
                         .on_journal_error = nullptr},
        ShipperOptions{});
    // Resets the high-water mark of this process.
    std::ofstream("/proc/self/clear_refs") << 5;
    before_kib_ = ResidentKiB("VmRSS:");
  }
  ~LogShipperLargeTest() override {
    shipper_.reset();
    pool_.join();
    std::filesystem::remove_all(directory_);
  }

  ShipJob Job(int number, const SpoolFiles& spool, Layout layout) {
    ShipJob job;
    job.task.id.bytes[0] = static_cast<uint8_t>(number);
    job.task.id.bytes[1] = static_cast<uint8_t>(number >> 8);
    job.generation = number + 1;
    job.spool = spool;
    job.layout = layout;
    job.path = absl::StrCat("tasks/", number);
    job.accepted_at_ms = 1'767'225'600'000;
    return job;
  }
  void RunUntilCompleted(int count) {
    auto guard = boost::asio::make_work_guard(loop_);
    while (completed_ < count) {
      ASSERT_GT(loop_.run_one_for(std::chrono::seconds(120)), 0u) << "nothing happened for long";
    }
  }
  std::string HashOfFile(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    base::Sha256Stream hash;
    std::string block(1 << 20, '\0');
    while (file.read(block.data(), static_cast<std::streamsize>(block.size())) ||
           file.gcount() > 0) {
      hash.Add(std::string_view(block).substr(0, static_cast<size_t>(file.gcount())));
    }
    return base::HexEncode(hash.Finish());
  }

  std::string directory_;
  boost::asio::thread_pool pool_{4};
  boost::asio::io_context loop_;
  std::unique_ptr<base::Clock> clock_ = base::MakeRealClock();
  std::unique_ptr<base::Rng> rng_ = base::MakeSeededRng(1);
  std::unique_ptr<base::FileSystem> files_ = base::MakeRealFileSystem();
  std::unique_ptr<FileStore> store_;
  FakeLogJournal journal_;
  std::unique_ptr<LogShipper> shipper_;
  int completed_ = 0;
  uint64_t before_kib_ = 0;
};

TEST_F(LogShipperLargeTest, MuchOutputOfOneTaskInFlatMemory) {
  SpoolWriter writer(*files_, directory_ + "/spool");
  std::string block(1 << 20, '\0');
  for (size_t i = 0; i < block.size(); ++i)
    block[i] = i % 100 == 99 ? '\n' : static_cast<char>(' ' + i % 89);
  while (writer.size(Stream::kStdout) < kBigBytes)
    writer.Write(Stream::kStdout, block, 1'767'225'600'000);
  const ShipJob job = Job(1, writer.spool(), Layout::kPlain);
  shipper_->Track(job);
  const auto start = std::chrono::steady_clock::now();
  shipper_->NoteEnd(job.task, {.stdout_bytes = writer.size(Stream::kStdout)});
  RunUntilCompleted(1);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  RecordProperty("mb_per_s", static_cast<int>(static_cast<double>(kBigBytes) / 1e6 / took.count()));
  EXPECT_EQ(HashOfFile(writer.spool().stdout_path()),
            HashOfFile(directory_ + "/logs/tasks/1/stdout"));
  ExpectFlatMemory(before_kib_);
}

TEST_F(LogShipperLargeTest, ALineOfAHundredMegabytesWithEveryByte) {
  SpoolWriter writer(*files_, directory_ + "/spool");
  std::string block(1 << 20, '\0');
  for (size_t i = 0; i < block.size(); ++i) {
    // Text with every byte but the newline in it now and then.
    const size_t odd = i / 64 % 256;
    block[i] = static_cast<char>(i % 64 == 0 && odd != '\n' ? odd : 'a' + i % 26);
  }
  const uint64_t size = kBigBytes / 5;
  while (writer.size(Stream::kStdout) < size)
    writer.Write(Stream::kStdout, block, 1'767'225'600'000);
  writer.Write(Stream::kStdout, "\nafter\n", 1'767'225'600'001);
  const LogEnd end{.stdout_bytes = writer.size(Stream::kStdout)};
  const ShipJob plain = Job(1, writer.spool(), Layout::kPlain);
  const ShipJob airflow = Job(2, writer.spool(), Layout::kAirflow);
  shipper_->Track(plain);
  shipper_->Track(airflow);
  shipper_->NoteEnd(plain.task, end);
  shipper_->NoteEnd(airflow.task, end);
  RunUntilCompleted(2);
  ExpectFlatMemory(before_kib_);
  EXPECT_EQ(HashOfFile(writer.spool().stdout_path()),
            HashOfFile(directory_ + "/logs/tasks/1/stdout"));

  // Every line of the pieces is a record of a bounded size; the last one is what came after.
  std::string last;
  uint64_t records = 0;
  for (int piece = 0; piece < 2; ++piece) {
    std::ifstream file(absl::StrCat(directory_, "/logs/tasks/2.0000000000000003.0000000", piece));
    for (std::string line; std::getline(file, line); ++records) {
      ASSERT_LT(line.size(), 2u << 20);
      boost::json::error_code error;
      boost::json::value record = boost::json::parse(line, error);
      ASSERT_FALSE(error) << error.message();
      last = record.as_object()["event"].as_string().c_str();
    }
  }
  EXPECT_GT(records, size / (256 * 1024));
  EXPECT_EQ(last, "after");
}

TEST_F(LogShipperLargeTest, AThousandTricklingTasksInFlatMemory) {
  constexpr int kTasks = 1000;
  std::vector<std::unique_ptr<SpoolWriter>> writers;
  for (int i = 0; i < kTasks; ++i) {
    writers.push_back(
        std::make_unique<SpoolWriter>(*files_, absl::StrCat(directory_, "/spool/", i)));
    shipper_->Track(Job(i, writers.back()->spool(), i % 2 ? Layout::kPlain : Layout::kAirflow));
  }
  for (int round = 0; round < 3; ++round) {
    for (const auto& writer : writers)
      writer->Write(Stream::kStdout, "a line\n", 1'767'225'600'000);
    loop_.restart();
    loop_.run_for(std::chrono::milliseconds(300));
  }
  for (int i = 0; i < kTasks; ++i) {
    shipper_->NoteEnd(Job(i, writers[0]->spool(), Layout::kPlain).task,
                      {.stdout_bytes = writers[static_cast<size_t>(i)]->size(Stream::kStdout)});
  }
  loop_.restart();
  RunUntilCompleted(kTasks);
  EXPECT_EQ(shipper_->status().stored_bytes, kTasks * 21u);
  ExpectFlatMemory(before_kib_);
}

}  // namespace
}  // namespace boxkeeper::logs
