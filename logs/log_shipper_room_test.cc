// overflow `block`: what the store has of a running task's spool is freed, and nothing is lost,
// wherever the daemon dies; what was freed is read from the store.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <functional>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/core/spool_format.h"
#include "base/hex.h"
#include "base/sha256.h"
#include "base/testing/at_length.h"
#include "logs/log_reader.h"
#include "logs/spool_reader.h"
#include "logs/testing/airflow_reader.h"
#include "logs/testing/run_awaitable.h"
#include "logs/testing/shipping_world.h"

namespace boxkeeper::logs {
namespace {

using base::FileOperation;
using std::chrono::seconds;

constexpr int64_t kStart = 1'767'225'600'000;
constexpr uint64_t kLimit = 128 * 1024;
constexpr int kPhases = 6;

struct RoomCase {
  Layout layout;
  StoreKind store;
};

std::string NameOf(const testing::TestParamInfo<RoomCase>& info) {
  return std::string(LayoutName(info.param.layout)) +
         (info.param.store == StoreKind::kFiles ? "OnFiles" : "InPieces");
}

class RoomTest : public testing::TestWithParam<RoomCase> {
 protected:
  // A task that prints more than its spool may hold, and what it has printed.
  struct Task {
    explicit Task(StoreKind store) : world(store) {}
    ShippingWorld world;
    std::string out;
    std::string err;

    void Print(int phase) {
      for (int i = 0; i < 60; ++i) {
        const std::string text =
            absl::StrCat("line ", phase, ".", i, " ", std::string(900 + i, 'x'), "\n");
        world.writer.Write(Stream::kStdout, text, kStart + phase * 10'000 + i);
        out += text;
      }
      const std::string text = absl::StrCat("error ", phase, "\n");
      world.writer.Write(Stream::kStderr, text, kStart + phase * 10'000 + 99);
      err += text;
    }
    uint64_t Freed() {
      return *SpoolReader(world.spool_files, world.writer.spool(), nullptr)
                  .ReadFreed(Stream::kStdout);
    }
  };

  ShipJob Job(Task& task) {
    ShipJob job = task.world.Job(GetParam().layout);
    job.frees_stored = true;
    job.spool_bytes_max = kLimit;
    job.redactor = redactor_;
    return job;
  }

  LogSource Source(Task& task, bool ended) {
    LogSource source;
    source.spool = task.world.writer.spool();
    source.redactor = redactor_;
    if (ended) source.final_size = task.out.size();
    source.stored = MakeStoredLog(GetParam().layout, task.world.Job(GetParam().layout).path, 42,
                                  task.world.journal.records);
    return source;
  }

  // What a reader sees from `offset` on, and from the last lines.
  void ExpectReadable(Task& task, ShippingDaemon& daemon, bool ended) {
    LogReader reader({task.world.spool_files, daemon.store(), daemon.context().get_executor()});
    const LogSource source = Source(task, ended);
    const uint64_t freed = task.Freed();
    for (const uint64_t from :
         {uint64_t{0}, uint64_t{777}, freed - std::min<uint64_t>(freed, 5), freed, freed + 10}) {
      std::string read;
      for (uint64_t offset = from;;) {
        auto chunk = RunAwaitable(daemon.context(), daemon.clock(),
                                  reader.Read(source, Stream::kStdout, offset, 50'000));
        ASSERT_TRUE(chunk.ok()) << chunk.status();
        ASSERT_EQ(chunk->offset, offset);
        ASSERT_EQ(chunk->dropped_bytes, 0u);
        read += chunk->data;
        if (chunk->end || chunk->next() == offset) break;
        offset = chunk->next();
      }
      const std::string expected = Shown(task).substr(std::min(from, task.out.size()));
      // Not yet what may begin a secret.
      const size_t late = redactor_ && !ended ? redactor_->context() : 0;
      ASSERT_GE(read.size() + late, expected.size()) << from;
      ASSERT_TRUE(read == expected.substr(0, read.size())) << from;
    }
    for (const uint64_t lines : {1, 100, 250}) {
      auto tail = RunAwaitable(daemon.context(), daemon.clock(),
                               reader.TailOffset(source, Stream::kStdout, lines));
      ASSERT_TRUE(tail.ok()) << tail.status();
      size_t expected = task.out.size();
      for (uint64_t i = 0; i < lines && expected != 0; ++i) {
        const size_t newline = task.out.rfind('\n', expected - 2);
        expected = newline == std::string::npos || expected < 2 ? 0 : newline + 1;
      }
      ASSERT_EQ(*tail, expected) << lines;
    }
  }

  std::string Shown(const Task& task) const {
    std::string shown = task.out;
    if (redactor_) redactor_->Redact(shown);
    return shown;
  }

  void ExpectStored(Task& task) {
    if (GetParam().layout == Layout::kAirflow) return ExpectShown(task);
    ASSERT_TRUE(task.world.StoredStream(Stream::kStdout) == Shown(task));
    ASSERT_EQ(task.world.StoredStream(Stream::kStderr), task.err);
    const auto records = task.world.Objects("_boxkeeper/" + task.world.task.ToString() + "/");
    ASSERT_EQ(records.size(), 1u);
    const auto parsed = boost::json::parse(records[0]);
    ASSERT_EQ(parsed.at("stored").at("stdout").at("sha256").as_string(),
              base::HexEncode(base::Sha256(Shown(task))));
  }

  // Airflow's reader shows each line once.
  void ExpectShown(Task& task) {
    std::string out;
    std::string err;
    for (const ShownRecord& record :
         ShowInAirflow(task.world.Objects("dag/run/attempt=1.log.0000000000000042."))) {
      (record.logger == "task.stdout" ? out : err) += record.event + "\n";
    }
    ASSERT_TRUE(out == Shown(task));
    ASSERT_TRUE(err == task.err);
  }

  // Runs two daemons, the first of which dies: at step `die_at` of journal and store, or when
  // `spool_step` changes of the spool's names and holes have been made (which ends only its
  // freeing, as its death would).
  void Play(Task& task, std::optional<int> die_at, std::optional<int> spool_step) {
    int phase = 0;
    died_ = false;
    for (int life = 0; life < 2; ++life) {
      int left = life == 0 && spool_step ? *spool_step : INT32_MAX;
      task.world.spool_files.SetFault([&](FileOperation operation, const std::string& path) {
        const bool counts = operation == FileOperation::kPunch ||
                            operation == FileOperation::kRename ||
                            operation == FileOperation::kSyncDir;
        if (!counts || !path.starts_with("/spool/t") || left-- > 0) return absl::OkStatus();
        died_ = true;
        return absl::DataLossError("dead");
      });
      const ShipperOptions options{.flush_bytes = 30'000, .flush_bytes_max = 30'000};
      ShippingDaemon daemon(task.world, life == 0 ? die_at : std::nullopt, options);
      daemon.shipper().Track(Job(task));
      const int last = life == 0 && spool_step ? kPhases - 1 : kPhases;
      while (phase < last && !daemon.dead()) {
        task.Print(phase++);
        daemon.clock().Advance(seconds(40));
        if (!daemon.dead()) ExpectReadable(task, daemon, /*ended=*/false);
        if (HasFatalFailure()) return;
      }
      died_ = died_ || daemon.dead();
      if (!daemon.dead() && phase == kPhases) {
        // Nothing but what is to come is held.
        EXPECT_LE(task.out.size() - task.Freed(), kLimit);
        daemon.shipper().NoteEnd(task.world.task, task.world.End());
        daemon.clock().Advance(seconds(1));
      }
      if (!daemon.dead() && daemon.completed() == 1) {
        EXPECT_EQ(daemon.shipper().status().store_failures, 0u);
        ExpectReadable(task, daemon, /*ended=*/true);
        return;
      }
      task.world.spool_files.SetFault(nullptr);
      task.world.Crash(false, 1);
    }
    FAIL() << "never completed";
  }

  bool died_ = false;
  std::shared_ptr<const Redactor> redactor_;
};

TEST_P(RoomTest, NothingIsLostWhereverTheDaemonDies) {
  const int stride = base::AtLength(1, 3);
  int die_at = 0;
  for (bool died = true; died && !HasFatalFailure(); die_at += stride) {
    SCOPED_TRACE(die_at);
    Task task(GetParam().store);
    Play(task, die_at, std::nullopt);
    died = died_;
    if (HasFatalFailure()) return;
    ExpectStored(task);
  }
  EXPECT_GT(die_at, 20);
}

TEST_P(RoomTest, NothingIsLostWhereverFreeingStops) {
  int step = 0;
  for (bool died = true; died && !HasFatalFailure(); ++step) {
    SCOPED_TRACE(step);
    Task task(GetParam().store);
    Play(task, std::nullopt, step);
    died = died_;
    if (HasFatalFailure()) return;
    ExpectStored(task);
  }
  EXPECT_GT(step, 4);
}

TEST_P(RoomTest, SecretsStayHiddenAcrossTheSeam) {
  // So long that the seam is in one.
  redactor_ = std::make_shared<const Redactor>(std::vector<std::string>{std::string(600, 'x')});
  Task task(GetParam().store);
  Play(task, std::nullopt, std::nullopt);
  if (HasFatalFailure()) return;
  ExpectStored(task);
  // Nothing of them is left in what is readable of the file, now that they are forgotten.
  const uint64_t freed = task.Freed();
  EXPECT_GT(freed, 0u);
  const auto content = task.world.spool_files.Content(task.world.writer.spool().stdout_path());
  EXPECT_TRUE(content->substr(freed) == Shown(task).substr(freed));
  EXPECT_EQ(content->substr(0, freed).find('x'), std::string::npos);
}

class AirflowRoomTest : public RoomTest {};

// Lines whose text is not their bytes, lines that were records, and lines too long for one.
TEST_P(AirflowRoomTest, OffsetsStayThoseOfTheStream) {
  Task task(GetParam().store);
  const auto print = [&task](const std::string& text) {
    task.world.writer.Write(Stream::kStdout, text, kStart + static_cast<int64_t>(task.out.size()));
    task.out += text;
  };
  const ShipperOptions options{.flush_bytes = 8'000, .flush_bytes_max = 8'000};
  ShippingDaemon daemon(task.world, std::nullopt, options);
  daemon.shipper().Track(Job(task));
  for (int i = 0; i < 100; ++i) {
    print(absl::StrCat(R"({"timestamp":"2026-01-01T00:00:0)", i % 10, R"(Z","event":"e", "n":)", i,
                       "}\n"));
    print("some \"text\" with a tab\t\n");
  }
  print(std::string(600 * 1024, 'y') + "\n");
  daemon.clock().Advance(seconds(40));
  ASSERT_EQ(task.Freed(), task.out.size());
  ExpectReadable(task, daemon, /*ended=*/false);
  // Now and then a byte that the store has as three.
  const uint64_t before = task.out.size();
  for (int i = 0; i < 2'000; ++i) print(absl::StrCat("latin \xe9 ", i, std::string(50, '.'), "\n"));
  daemon.clock().Advance(seconds(40));
  ASSERT_EQ(task.Freed(), task.out.size());
  const uint64_t behind = task.out.size();
  print("the end\n");
  LogReader reader({task.world.spool_files, daemon.store(), daemon.context().get_executor()});
  std::string read;
  uint64_t offset = before;
  while (offset < behind) {
    auto chunk = RunAwaitable(daemon.context(), daemon.clock(),
                              reader.Read(Source(task, false), Stream::kStdout, offset, 10'000));
    ASSERT_TRUE(chunk.ok()) << chunk.status();
    ASSERT_LE(chunk->data.size(), 10'000u);
    ASSERT_GT(chunk->next(), offset);
    read += chunk->data;
    offset = chunk->next();
  }
  EXPECT_EQ(offset, behind);
  std::string expected = task.out.substr(before, behind - before);
  for (size_t at = 0; (at = expected.find('\xe9', at)) != std::string::npos; at += 3) {
    expected.replace(at, 1, "\xef\xbf\xbd");
  }
  EXPECT_TRUE(read == expected);
  auto rest = RunAwaitable(daemon.context(), daemon.clock(),
                           reader.Read(Source(task, false), Stream::kStdout, behind, 10'000));
  EXPECT_EQ(rest->data, "the end\n");
}

INSTANTIATE_TEST_SUITE_P(, AirflowRoomTest,
                         testing::Values(RoomCase{Layout::kAirflow, StoreKind::kFiles}), NameOf);

// Below the limit the spool stays whole; a supervisor that waits is helped whatever the limit is.
TEST_P(RoomTest, OnlyWhatIsNeededIsFreed) {
  Task task(GetParam().store);
  ShippingDaemon daemon(task.world);
  ShipJob job = Job(task);
  // Airflow's pieces must be mapped from the begin on.
  job.frees_stored = GetParam().layout == Layout::kAirflow;
  job.spool_bytes_max = 0;
  daemon.shipper().Track(std::move(job));
  for (int phase = 0; phase < 3; ++phase) task.Print(phase);
  daemon.clock().Advance(seconds(40));
  EXPECT_EQ(task.Freed(), 0u);
  task.world.spool_files.SetContent(absl::StrCat("/spool/t/", base::kSpoolWaitingName), "");
  daemon.clock().Advance(seconds(40));
  EXPECT_EQ(task.Freed(), task.out.size());
  EXPECT_EQ(daemon.shipper().status().held, 1u);
  ExpectReadable(task, daemon, /*ended=*/false);
  daemon.shipper().NoteEnd(task.world.task, task.world.End());
  EXPECT_EQ(daemon.shipper().status().held, 0u);
}

// The daemon dies after the announcement, and the command waits for room: nothing new will come.
TEST_P(RoomTest, WhatWasAnnouncedIsPunchedByTheNextDaemon) {
  Task task(GetParam().store);
  const auto content = [&task] {
    return *task.world.spool_files.Content(task.world.writer.spool().stdout_path());
  };
  for (int phase = 0; phase < 3; ++phase) task.Print(phase);
  task.world.spool_files.SetContent(absl::StrCat("/spool/t/", base::kSpoolWaitingName), "");
  for (const bool dies : {true, false}) {
    task.world.spool_files.SetFault([dies](FileOperation operation, const std::string&) {
      const bool fails = dies && operation == FileOperation::kPunch;
      return fails ? absl::DataLossError("dead") : absl::OkStatus();
    });
    ShippingDaemon daemon(task.world);
    daemon.shipper().Track(Job(task));
    daemon.clock().Advance(seconds(40));
    EXPECT_EQ(task.Freed(), task.out.size());
    EXPECT_EQ(content().substr(0, 4096) == std::string(4096, '\0'), !dies);
    ExpectReadable(task, daemon, /*ended=*/false);
  }
}

TEST_P(RoomTest, APressedSpoolIsFreedToo) {
  Task task(GetParam().store);
  ShippingDaemon daemon(task.world);
  ShipJob job = Job(task);
  job.spool_bytes_max = 0;
  daemon.shipper().Track(std::move(job));
  for (int phase = 0; phase < 3; ++phase) task.Print(phase);
  daemon.clock().Advance(seconds(40));
  EXPECT_EQ(task.Freed(), 0u);
  daemon.shipper().SetSpoolPressed(true);
  daemon.clock().Advance(seconds(40));
  EXPECT_EQ(task.Freed(), task.out.size());
  ExpectReadable(task, daemon, /*ended=*/false);
}

TEST_P(RoomTest, NothingIsFreedWhileTheStoreIsDown) {
  Task task(GetParam().store);
  ShippingDaemon daemon(task.world);
  daemon.store().failure = absl::UnavailableError("down");
  daemon.shipper().Track(Job(task));
  for (int phase = 0; phase < 3; ++phase) task.Print(phase);
  daemon.clock().Advance(seconds(100));
  EXPECT_EQ(task.Freed(), 0u);
  daemon.store().failure = absl::OkStatus();
  daemon.clock().Advance(seconds(100));
  EXPECT_GT(task.Freed(), 0u);
}

// Somebody took away what was stored: that is lost with what was freed, and says so.
TEST_P(RoomTest, AnObjectThatVanishesIsAVisibleGap) {
  if (GetParam().layout == Layout::kAirflow) GTEST_SKIP();  // no object of it is touched twice
  if (GetParam().layout == Layout::kPlain && GetParam().store == StoreKind::kPieces) GTEST_SKIP();
  Task task(GetParam().store);
  ShippingDaemon daemon(task.world);
  daemon.shipper().Track(Job(task));
  for (int phase = 0; phase < 3; ++phase) task.Print(phase);
  daemon.clock().Advance(seconds(40));
  const uint64_t freed = task.Freed();
  ASSERT_GT(freed, 0u);
  RunAwaitable(daemon.context(), daemon.clock(),
               daemon.store().Remove("dag/run/attempt=1.log/stdout"))
      .IgnoreError();
  task.Print(3);
  daemon.clock().Advance(seconds(100));
  daemon.shipper().NoteEnd(task.world.task, task.world.End());
  daemon.clock().Advance(seconds(100));
  ASSERT_EQ(daemon.completed(), 1);
  EXPECT_EQ(task.world.StoredStream(Stream::kStdout),
            absl::StrCat("\n[boxkeeper: dropped ", freed, " bytes]\n", task.out.substr(freed)));
}

INSTANTIATE_TEST_SUITE_P(, RoomTest,
                         testing::Values(RoomCase{Layout::kPlain, StoreKind::kFiles},
                                         RoomCase{Layout::kPlain, StoreKind::kPieces},
                                         RoomCase{Layout::kMetaflow, StoreKind::kPieces},
                                         RoomCase{Layout::kAirflow, StoreKind::kPieces}),
                         NameOf);

}  // namespace
}  // namespace boxkeeper::logs
