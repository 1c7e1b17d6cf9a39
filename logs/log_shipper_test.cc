#include "logs/log_shipper.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "absl/strings/str_cat.h"
#include "logs/testing/airflow_reader.h"
#include "logs/testing/run_awaitable.h"
#include "logs/testing/shipping_world.h"

namespace boxkeeper::logs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int64_t kStart = 1'767'225'600'000;  // FakeClock's wall time at its start

std::string StoredStdout(ShippingWorld& world) {
  auto content = world.store_files.Content("/logs/dag/run/attempt=1.log/stdout");
  return content.ok() ? *content : "(none)";
}

std::vector<std::string> Events(ShippingWorld& world) {
  std::vector<std::string> events;
  for (const ShownRecord& record :
       ShowInAirflow(world.Objects("dag/run/attempt=1.log.0000000000000042."))) {
    events.push_back(record.event);
  }
  return events;
}

TEST(LogShipperTest, ShipsSoonAtFirstAndRarerLater) {
  ShippingWorld world;
  ShippingDaemon daemon(world);
  daemon.shipper().Track(world.Job(Layout::kPlain));
  world.writer.Write(Stream::kStdout, "a", kStart);
  daemon.clock().Advance(milliseconds(200));
  EXPECT_EQ(StoredStdout(world), "a");
  // From now on within flush_interval, which grows to its maximum.
  world.writer.Write(Stream::kStdout, "b", kStart);
  daemon.clock().Advance(milliseconds(500));
  EXPECT_EQ(StoredStdout(world), "a");
  daemon.clock().Advance(seconds(3));
  EXPECT_EQ(StoredStdout(world), "ab");
  for (int i = 0; i < 20; ++i) {
    world.writer.Write(Stream::kStdout, "x", kStart);
    daemon.clock().Advance(seconds(31));
  }
  EXPECT_EQ(StoredStdout(world).size(), 22u);
  daemon.store().changes = 0;
  for (int i = 0; i < 60; ++i) {
    world.writer.Write(Stream::kStdout, "y", kStart);
    daemon.clock().Advance(seconds(1));
  }
  EXPECT_LE(daemon.store().changes, 3);
}

TEST(LogShipperTest, MuchOutputIsShippedBeforeTheInterval) {
  ShippingWorld world;
  ShippingDaemon daemon(world, std::nullopt,
                        {.flush_interval = seconds(3600), .flush_interval_max = seconds(3600)});
  daemon.shipper().Track(world.Job(Layout::kPlain));
  world.writer.Write(Stream::kStdout, "first", kStart);
  daemon.clock().Advance(seconds(1));
  world.writer.Write(Stream::kStdout, std::string(200'000, 'x'), kStart);
  daemon.clock().Advance(seconds(3));
  EXPECT_EQ(StoredStdout(world).size(), 200'005u);
  EXPECT_EQ(daemon.shipper().status().stored_bytes, 200'005u);
}

TEST(LogShipperTest, TheEndShipsTheRestAtOnceAndIsToldOnce) {
  ShippingWorld world;
  ShippingDaemon daemon(world);
  daemon.shipper().Track(world.Job(Layout::kPlain));
  world.writer.Write(Stream::kStdout, "out", kStart);
  world.writer.Write(Stream::kStderr, "err", kStart);
  daemon.shipper().NoteEnd(world.task, world.End());
  daemon.shipper().NoteEnd(world.task, {});
  EXPECT_EQ(daemon.completed(), 0);
  daemon.clock().RunUntilIdle();
  EXPECT_EQ(daemon.completed(), 1);
  EXPECT_EQ(StoredStdout(world), "out");
  EXPECT_EQ(*world.store_files.Content("/logs/dag/run/attempt=1.log/stderr"), "err");
  const std::vector<std::string> exit_records =
      world.Objects("_boxkeeper/" + world.task.ToString() + "/");
  ASSERT_EQ(exit_records.size(), 1u);
  EXPECT_EQ(boost::json::parse(exit_records[0]).at("exit_code").as_int64(), 0);
  EXPECT_TRUE(world.journal.records.back().complete());
  EXPECT_EQ(daemon.shipper().status().tracked, 0u);
  EXPECT_EQ(daemon.shipper().status().completed, 1u);
  EXPECT_EQ(daemon.shipper().status().backlog_bytes, 0u);
}

TEST(LogShipperTest, ALogWithoutOutputIsCompleteWithoutAnObject) {
  ShippingWorld world;
  ShippingDaemon daemon(world);
  daemon.shipper().Track(world.Job(Layout::kPlain));
  daemon.shipper().NoteEnd(world.task, {});
  daemon.clock().RunUntilIdle();
  EXPECT_EQ(daemon.completed(), 1);
  EXPECT_EQ(daemon.store().changes, 0);
  EXPECT_EQ(world.journal.records.size(), 1u);
}

TEST(LogShipperTest, AHeldLogIsCompleteOnlyOnceItIsReleased) {
  ShippingWorld world;
  ShippingDaemon daemon(world);
  daemon.shipper().Track(world.Job(Layout::kPlain));
  world.writer.Write(Stream::kStdout, "out", kStart);
  LogEnd end = world.End();
  end.held = true;
  daemon.shipper().NoteEnd(world.task, std::move(end));
  daemon.clock().Advance(std::chrono::hours(1));
  EXPECT_EQ(StoredStdout(world), "out");
  EXPECT_EQ(daemon.completed(), 0);
  daemon.shipper().Release(world.task);
  daemon.shipper().Release(world.task);
  daemon.clock().RunUntilIdle();
  EXPECT_EQ(daemon.completed(), 1);
}

TEST(LogShipperTest, ALogReleasedWhileItIsShippedIsComplete) {
  ShippingWorld world;
  ShippingDaemon daemon(world);
  daemon.shipper().Track(world.Job(Layout::kPlain));
  LogEnd end = world.End();
  end.held = true;
  daemon.shipper().NoteEnd(world.task, std::move(end));
  daemon.shipper().Release(world.task);
  daemon.clock().RunUntilIdle();
  EXPECT_EQ(daemon.completed(), 1);
}

TEST(LogShipperTest, ACompleteLogIsToldAgainAfterARestart) {
  ShippingWorld world;
  store::v1::LogRecord record;
  record.set_generation(42);
  record.set_complete(true);
  world.journal.records.push_back(record);
  ShippingDaemon daemon(world);
  daemon.shipper().Track(world.Job(Layout::kAirflow));
  EXPECT_EQ(daemon.completed(), 0);
  daemon.clock().RunUntilIdle();
  EXPECT_EQ(daemon.completed(), 1);
  EXPECT_EQ(daemon.store().changes, 0);
}

struct Where {
  Layout layout;
  StoreKind store;
};
constexpr Where kEverywhere[] = {
    {Layout::kPlain, StoreKind::kFiles},    {Layout::kPlain, StoreKind::kPieces},
    {Layout::kMetaflow, StoreKind::kFiles}, {Layout::kMetaflow, StoreKind::kPieces},
    {Layout::kAirflow, StoreKind::kFiles},  {Layout::kAirflow, StoreKind::kPieces}};

TEST(LogShipperTest, AStoreThatIsDownOnlyDelaysTheLog) {
  for (const auto& [layout, store] : kEverywhere) {
    ShippingWorld world(store);
    ShippingDaemon daemon(world);
    daemon.store().failure = absl::UnavailableError("503");
    daemon.shipper().Track(world.Job(layout));
    world.writer.Write(Stream::kStdout, "hello\n", kStart);
    daemon.clock().Advance(seconds(5));
    world.writer.Write(Stream::kStdout, "world\n", kStart + 5000);
    daemon.shipper().NoteEnd(world.task, world.End());
    daemon.clock().Advance(std::chrono::hours(1));
    EXPECT_EQ(daemon.completed(), 0);
    const ShipperStatus down = daemon.shipper().status();
    EXPECT_EQ(down.failing, 1u);
    EXPECT_EQ(down.last_error, "503");
    // Backed off: about one try a minute in the end.
    EXPECT_LE(down.store_failures, 200u);
    EXPECT_GE(down.store_failures, 50u);
    daemon.store().failure = absl::OkStatus();
    daemon.clock().Advance(seconds(61));
    EXPECT_EQ(daemon.completed(), 1);
    EXPECT_EQ(daemon.shipper().status().failing, 0u);
    if (layout == Layout::kAirflow) {
      EXPECT_EQ(Events(world), (std::vector<std::string>{"hello", "world"}));
    } else {
      EXPECT_EQ(world.StoredStream(Stream::kStdout), "hello\nworld\n");
    }
  }
}

// Whatever call fails, before its effect or after it (the answer is lost): the bytes are the same.
TEST(LogShipperTest, OneFailedCallChangesNothing) {
  for (const Layout layout : {Layout::kPlain, Layout::kMetaflow}) {
    for (const bool after_commit : {false, true}) {
      for (int n = 0; n < 12; ++n) {
        ShippingWorld world(StoreKind::kPieces);
        world.memory.FailChange(n, absl::UnavailableError("reset"), after_commit);
        ShippingDaemon daemon(world);
        daemon.shipper().Track(world.Job(layout));
        for (int i = 0; i < 6; ++i) {
          world.writer.Write(Stream::kStdout, absl::StrCat("line ", i, "\n"), kStart);
          daemon.clock().Advance(seconds(31));
        }
        daemon.shipper().NoteEnd(world.task, world.End());
        daemon.clock().Advance(seconds(5));
        EXPECT_EQ(daemon.completed(), 1);
        EXPECT_EQ(world.StoredStream(Stream::kStdout),
                  "line 0\nline 1\nline 2\nline 3\nline 4\nline 5\n");
      }
    }
  }
}

TEST(LogShipperTest, PiecesAreNamedByTheirPlace) {
  ShippingWorld world(StoreKind::kPieces);
  ShippingDaemon daemon(world);
  daemon.shipper().Track(world.Job(Layout::kPlain));
  world.writer.Write(Stream::kStdout, "0123456789", kStart);
  daemon.clock().Advance(seconds(1));
  world.writer.Write(Stream::kStdout, std::string(80, 'x') + "abc", kStart);
  world.writer.Drop(Stream::kStdout, 5, 90);
  daemon.shipper().NoteEnd(world.task, world.End());
  daemon.clock().RunUntilIdle();
  EXPECT_EQ(world.memory.Names(),
            (std::vector<std::string>{"_boxkeeper/" + world.task.ToString() + "/exit.json",
                                      "dag/run/attempt=1.log/stdout.0000000000000000",
                                      "dag/run/attempt=1.log/stdout.0000000000000010"}));
  EXPECT_EQ(world.StoredStream(Stream::kStdout), "0123456789\n[boxkeeper: dropped 80 bytes]\nabc");
  EXPECT_EQ(daemon.shipper().status().pieces, 2u);
}

TEST(LogShipperTest, PiecesOfAnEarlierTaskDoNotMixWithNewOnes) {
  ShippingWorld world(StoreKind::kPieces);
  {
    ShippingDaemon daemon(world, std::nullopt, {.flush_bytes = 1, .flush_bytes_max = 1});
    daemon.shipper().Track(world.Job(Layout::kPlain));
    for (int i = 0; i < 5; ++i) {
      world.writer.Write(Stream::kStdout, "earlier", kStart);
      daemon.clock().Advance(seconds(31));
    }
    EXPECT_EQ(world.memory.Names().size(), 5u);
  }
  SpoolWriter later(world.spool_files, "/spool/later");
  later.Write(Stream::kStdout, "new", kStart);
  ShipJob job = world.Job(Layout::kPlain);
  job.resume.clear();
  job.generation = 43;
  job.spool = later.spool();
  ShippingDaemon daemon(world);
  daemon.shipper().Track(job);
  daemon.shipper().NoteEnd(world.task, {.stdout_bytes = 3});
  daemon.clock().RunUntilIdle();
  EXPECT_EQ(world.StoredStream(Stream::kStdout), "new");
}

// Metaflow reads what is behind the place it has reached: what it saw must stay.
TEST(LogShipperTest, AMetaflowObjectOnlyGrows) {
  for (const StoreKind store : {StoreKind::kFiles, StoreKind::kPieces}) {
    ShippingWorld world(store);
    ShippingDaemon daemon(world);
    daemon.shipper().Track(world.Job(Layout::kMetaflow));
    std::string seen;
    std::string spooled;
    for (int i = 0; i < 40; ++i) {
      const std::string line =
          absl::StrCat("[MFLOG|0|line ", i, "]", std::string(i * 20, 'x'), "\n");
      spooled += line;
      world.writer.Write(Stream::kStdout, line, kStart);
      daemon.clock().Advance(seconds(i % 2 == 0 ? 1 : 40));
      const std::string now = world.StoredStream(Stream::kStdout);
      EXPECT_TRUE(now.starts_with(seen));
      EXPECT_TRUE(spooled.starts_with(now));
      if (i % 2 == 1) EXPECT_EQ(now, spooled);
      seen = now;
    }
    EXPECT_EQ(world.Objects("dag/run/attempt=1.log/stdout").size(), 1u);
    daemon.shipper().NoteEnd(world.task, world.End());
    daemon.clock().RunUntilIdle();
    EXPECT_EQ(world.StoredStream(Stream::kStdout), spooled);
  }
}

// A growing object is copied by the store with each extension: that must not add up.
TEST(LogShipperTest, ExtendingCopiesNotMuchMoreThanThereIs) {
  ShippingWorld world(StoreKind::kPieces);
  ShippingDaemon daemon(world, std::nullopt, {.flush_bytes = 1000, .flush_bytes_max = 1000});
  daemon.shipper().Track(world.Job(Layout::kMetaflow));
  for (int i = 0; i < 200; ++i) {
    world.writer.Write(Stream::kStdout, std::string(1000, 'x'), kStart);
    daemon.clock().Advance(milliseconds(100));
  }
  daemon.shipper().NoteEnd(world.task, world.End());
  daemon.clock().RunUntilIdle();
  EXPECT_EQ(world.StoredStream(Stream::kStdout).size(), 200'000u);
  EXPECT_LE(daemon.store().changes, 40);
}

// The cut of a dead daemon cannot be made again, but the store has it: nobody sees it change.
TEST(LogShipperTest, WhatIsStoredAlreadyIsNotCutAnew) {
  for (const Layout layout : {Layout::kPlain, Layout::kMetaflow}) {
    ShippingWorld world(StoreKind::kPieces);
    int steps = 0;
    for (bool stored = false; !stored && steps < 10; ++steps) {
      world.journal.records.clear();
      ShippingDaemon daemon(world, steps);
      daemon.shipper().Track(world.Job(layout));
      if (world.writer.size(Stream::kStdout) == 0) {
        world.writer.Write(Stream::kStdout, "0123456789", kStart);
      }
      daemon.clock().Advance(seconds(1));
      stored = !world.memory.Names().empty();
      ASSERT_TRUE(daemon.dead());
    }
    world.writer.Drop(Stream::kStdout, 2, 8);
    world.writer.Write(Stream::kStdout, "abc", kStart);
    ShippingDaemon daemon(world);
    daemon.shipper().Track(world.Job(layout));
    daemon.shipper().NoteEnd(world.task, world.End());
    daemon.clock().RunUntilIdle();
    EXPECT_EQ(daemon.completed(), 1);
    EXPECT_EQ(world.StoredStream(Stream::kStdout), "0123456789abc");
  }
}

TEST(LogShipperTest, AFailingJournalStopsTheShipper) {
  ShippingWorld world;
  ShippingDaemon daemon(world);
  world.journal.failure = absl::DataLossError("fsync");
  daemon.shipper().Track(world.Job(Layout::kAirflow));
  world.writer.Write(Stream::kStdout, "hello\n", kStart - 1000);
  daemon.clock().Advance(std::chrono::minutes(10));
  EXPECT_EQ(daemon.journal_errors().size(), 1u);
  EXPECT_EQ(daemon.completed(), 0);
  EXPECT_EQ(daemon.store().changes, 0);
}

TEST(LogShipperTest, AForgottenLogIsLeftAlone) {
  ShippingWorld world;
  ShippingDaemon daemon(world);
  daemon.shipper().Track(world.Job(Layout::kPlain));
  world.writer.Write(Stream::kStdout, "hello", kStart);
  daemon.shipper().Forget(world.task);
  daemon.shipper().NoteEnd(world.task, world.End());
  daemon.clock().Advance(std::chrono::minutes(10));
  EXPECT_EQ(daemon.completed(), 0);
  EXPECT_EQ(daemon.store().changes, 0);
  EXPECT_EQ(daemon.shipper().status().tracked, 0u);
}

TEST(LogShipperTest, StopWaitsForWhatIsInFlight) {
  ShippingWorld world;
  ShippingDaemon daemon(world, 0);  // stands still at its first change
  daemon.shipper().Track(world.Job(Layout::kPlain));
  world.writer.Write(Stream::kStdout, "hello", kStart);
  daemon.clock().Advance(seconds(1));
  ASSERT_TRUE(daemon.dead());
  absl::Status stopped;
  boost::asio::co_spawn(daemon.context(),
                        daemon.shipper().Stop(daemon.clock().Boot() + seconds(20)),
                        [&](std::exception_ptr, absl::Status status) { stopped = status; });
  daemon.clock().Advance(seconds(21));
  EXPECT_TRUE(absl::IsDeadlineExceeded(stopped)) << stopped;
}

TEST(LogShipperTest, OnlyTheWantedStreamsAreStored) {
  ShippingWorld world;
  ShippingDaemon daemon(world);
  ShipJob job = world.Job(Layout::kPlain);
  job.streams = {Stream::kStderr};
  daemon.shipper().Track(job);
  world.writer.Write(Stream::kStdout, "out", kStart);
  world.writer.Write(Stream::kStderr, "err", kStart);
  daemon.shipper().NoteEnd(world.task, world.End());
  daemon.clock().RunUntilIdle();
  EXPECT_EQ(daemon.completed(), 1);
  EXPECT_EQ(StoredStdout(world), "(none)");
  EXPECT_EQ(*world.store_files.Content("/logs/dag/run/attempt=1.log/stderr"), "err");
}

TEST(LogShipperTest, SecretsAreOverwrittenAndCounted) {
  ShippingWorld world;
  ShippingDaemon daemon(world);
  ShipJob job = world.Job(Layout::kPlain);
  job.redactor = std::make_shared<Redactor>(std::vector<std::string>{"hunter22"});
  daemon.shipper().Track(job);
  world.writer.Write(Stream::kStdout, "pass hunt", kStart);
  daemon.clock().Advance(seconds(1));
  EXPECT_EQ(StoredStdout(world), "pass ");
  world.writer.Write(Stream::kStdout, "er22\n", kStart);
  daemon.shipper().NoteEnd(world.task, world.End());
  daemon.clock().RunUntilIdle();
  EXPECT_EQ(StoredStdout(world), "pass ********\n");
  EXPECT_EQ(daemon.shipper().status().redacted, 1u);
}

TEST(LogShipperTest, ADroppedMiddleIsMarkedOnce) {
  ShippingWorld world;
  ShippingDaemon daemon(world);
  daemon.shipper().Track(world.Job(Layout::kPlain));
  world.writer.Write(Stream::kStdout, "0123456789", kStart);
  daemon.clock().Advance(seconds(1));
  world.writer.Write(Stream::kStdout, std::string(80, 'x') + "abcdefghij", kStart);
  world.writer.Drop(Stream::kStdout, 5, 90);
  daemon.clock().Advance(std::chrono::minutes(5));
  EXPECT_EQ(StoredStdout(world), "0123456789");  // the rest may be dropped still
  daemon.shipper().NoteEnd(world.task, world.End());
  daemon.clock().RunUntilIdle();
  EXPECT_EQ(StoredStdout(world), "0123456789\n[boxkeeper: dropped 80 bytes]\nabcdefghij");
  const StoredLog stored = MakeStoredLog(Layout::kPlain, "p", 42, world.journal.records);
  EXPECT_TRUE(stored.complete);
  EXPECT_EQ(stored.stdout_gap, (Hole{10, 90}));
}

TEST(LogShipperTest, AStoredObjectThatWasCutIsWrittenAnew) {
  ShippingWorld world;
  ShippingDaemon daemon(world);
  daemon.shipper().Track(world.Job(Layout::kPlain));
  world.writer.Write(Stream::kStdout, "hello ", kStart);
  daemon.clock().Advance(seconds(1));
  world.store_files.SetContent("/logs/dag/run/attempt=1.log/stdout", "");
  world.writer.Write(Stream::kStdout, "world", kStart);
  daemon.shipper().NoteEnd(world.task, world.End());
  daemon.clock().Advance(seconds(10));
  EXPECT_EQ(StoredStdout(world), "hello world");
  EXPECT_EQ(daemon.completed(), 1);
}

TEST(LogShipperTest, ManyLogsShareFewSlots) {
  ShippingWorld world;
  ShippingDaemon daemon(world);
  std::vector<std::unique_ptr<SpoolWriter>> writers;
  for (int i = 0; i < 300; ++i) {
    writers.push_back(std::make_unique<SpoolWriter>(world.spool_files, absl::StrCat("/spool/", i)));
    ShipJob job = world.Job(Layout::kAirflow);
    job.task.id.bytes[1] = static_cast<uint8_t>(i);
    job.task.id.bytes[2] = static_cast<uint8_t>(i >> 8);
    job.generation = 1000 + i;
    job.path = absl::StrCat("many/", i);
    job.spool = writers.back()->spool();
    daemon.shipper().Track(job);
    writers.back()->Write(Stream::kStdout, "line\n", kStart - 1000);
    LogEnd end{.stdout_bytes = 5};
    if (i % 2 == 0) daemon.shipper().NoteEnd(job.task, end);
  }
  daemon.clock().Advance(seconds(1));
  EXPECT_EQ(daemon.completed(), 150);
  EXPECT_EQ(world.Objects("many/").size(), 300u);
}

}  // namespace
}  // namespace boxkeeper::logs
