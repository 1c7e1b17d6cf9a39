// The daemon dies before and after each change of the journal and the store: nothing is lost,
// nothing doubled (I8).
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <functional>
#include <map>

#include "absl/strings/str_cat.h"
#include "base/hex.h"
#include "base/sha256.h"
#include "base/testing/at_length.h"
#include "logs/log_path.h"
#include "logs/testing/airflow_reader.h"
#include "logs/testing/shipping_world.h"

namespace boxkeeper::logs {
namespace {

using std::chrono::seconds;

constexpr int64_t kStart = 1'767'225'600'000;

// What the task does, in phases with time for the shipper between them.
using Phases = std::vector<std::function<void(SpoolWriter&)>>;

struct Script {
  Layout layout = Layout::kPlain;
  Phases phases;
  bool lose_power = false;  // the store's machine goes down with the daemon
  std::shared_ptr<const Redactor> redactor = nullptr;
};

std::string Line(int i) { return absl::StrCat("line ", i, " ", std::string(i % 40, '.')); }

Phases ChattyTask() {
  Phases phases;
  for (int phase = 0; phase < 4; ++phase) {
    phases.push_back([phase](SpoolWriter& writer) {
      for (int i = 0; i < 12; ++i) {
        const std::string line = Line(phase * 12 + i) + "\n";
        // Lines are split across reads and phases.
        const size_t half = line.size() / 2;
        const int64_t at = kStart + phase * 10'000 + i / 10;
        writer.Write(Stream::kStdout, line.substr(0, half), at);
        if (i == 11 && phase < 3) continue;
        writer.Write(Stream::kStdout, line.substr(half), at);
        if (i % 7 == 0) writer.Write(Stream::kStderr, absl::StrCat("err ", phase, i, "\n"), at);
      }
    });
    phases.push_back([phase](SpoolWriter& writer) {
      const std::string line = Line(phase * 12 + 11) + "\n";
      if (phase < 3) {
        writer.Write(Stream::kStdout, line.substr(line.size() / 2),
                     kStart + phase * 10'000 + 9'000);
      }
    });
  }
  return phases;
}

// Runs daemon after daemon, the first dying at step `die_at`, until the log is complete. False if
// the first did not die.
bool Play(ShippingWorld& world, const Script& script, int die_at) {
  size_t next_phase = 0;
  bool died = false;
  for (int life = 0; life < 2; ++life) {
    const ShipperOptions options{.flush_bytes = 500, .flush_bytes_max = 500};
    ShippingDaemon daemon(world, life == 0 ? std::optional(die_at) : std::nullopt, options);
    ShipJob job = world.Job(script.layout);
    job.redactor = script.redactor;
    daemon.shipper().Track(std::move(job));
    while (next_phase < script.phases.size() && !daemon.dead()) {
      script.phases[next_phase++](world.writer);
      daemon.clock().Advance(seconds(40));
    }
    if (!daemon.dead()) {
      daemon.shipper().NoteEnd(world.task, world.End());
      daemon.clock().Advance(seconds(1));
    }
    if (!daemon.dead()) {
      EXPECT_EQ(daemon.completed(), 1) << "die at " << die_at;
      EXPECT_EQ(daemon.shipper().status().store_failures, 0u);
      return died;
    }
    died = true;
    world.Crash(script.lose_power, static_cast<uint64_t>(die_at));
  }
  ADD_FAILURE() << "never completed";
  return false;
}

std::string Spooled(ShippingWorld& world, Stream stream) {
  return *world.spool_files.Content(world.writer.spool().path(stream));
}

void ExpectPlainComplete(ShippingWorld& world) {
  for (const Stream stream : {Stream::kStdout, Stream::kStderr}) {
    ASSERT_EQ(world.StoredStream(stream), Spooled(world, stream));
  }
}

void ExpectAirflowComplete(ShippingWorld& world) {
  std::vector<std::string> out;
  std::vector<std::string> err;
  std::vector<ShownRecord> shown =
      ShowInAirflow(world.Objects("dag/run/attempt=1.log.0000000000000042."));
  if (world.note) {
    ASSERT_FALSE(shown.empty());
    ASSERT_EQ(shown.back().logger, "boxkeeper");
    ASSERT_EQ(shown.back().event, world.note->text);
    shown.pop_back();
  }
  for (const ShownRecord& record : shown) {
    ASSERT_TRUE(record.has_timestamp);
    ASSERT_TRUE(record.logger == "task.stdout" || record.logger == "task.stderr");
    (record.logger == "task.stdout" ? out : err).push_back(record.event);
  }
  std::string stdout_text;
  for (const std::string& line : out) stdout_text += line + "\n";
  std::string stderr_text;
  for (const std::string& line : err) stderr_text += line + "\n";
  ASSERT_EQ(stdout_text, Spooled(world, Stream::kStdout));
  ASSERT_EQ(stderr_text, Spooled(world, Stream::kStderr));
}

void ExpectOnlyNote(ShippingWorld& world) {
  const std::vector<ShownRecord> shown = ShowInAirflow(world.Objects("dag/run/attempt=1.log."));
  ASSERT_EQ(shown.size(), 1u);
  ASSERT_EQ(shown[0].event, world.note->text);
}

// A piece that was cut twice has the same bytes.
void ExpectRepeatsAreEqual(const ShippingWorld& world) {
  std::map<std::pair<std::string, int64_t>, std::string> hashes;
  for (const store::v1::LogRecord& record : world.journal.records) {
    if (record.complete() || record.dropped()) continue;
    auto [known, fresh] = hashes.try_emplace({record.stream(), record.piece()}, record.sha256());
    ASSERT_EQ(known->second, record.sha256()) << record.piece();
  }
}

// The exit record tells the sum of what is stored.
void ExpectSumsInExitRecord(ShippingWorld& world, Layout layout) {
  const std::vector<std::string> records =
      world.Objects("_boxkeeper/" + world.task.ToString() + "/");
  ASSERT_EQ(records.size(), 1u);
  const auto parsed = boost::json::parse(records[0]);
  const boost::json::object& stored = parsed.at("stored").as_object();
  ASSERT_EQ(stored.at("layout").as_string(), std::string(LayoutName(layout)));
  for (const Stream stream : {Stream::kStdout, Stream::kStderr}) {
    const auto& facts = stored.at(std::string(StreamName(stream))).as_object();
    ASSERT_EQ(facts.at("raw_bytes").as_int64(), static_cast<int64_t>(world.writer.size(stream)));
    if (layout == Layout::kAirflow) continue;
    const std::string content = world.StoredStream(stream);
    ASSERT_EQ(facts.at("stored_bytes").as_int64(), static_cast<int64_t>(content.size()));
    ASSERT_EQ(facts.at("sha256").as_string(), base::HexEncode(base::Sha256(content)));
    const auto objects = world.Objects(PlainObjectName(world.Job(layout).path, stream));
    ASSERT_EQ(facts.at("pieces").as_int64(), static_cast<int64_t>(objects.size()));
  }
  if (layout != Layout::kAirflow) return;
  std::string content;
  for (const std::string& piece : world.Objects(world.Job(layout).path + ".")) content += piece;
  const auto& merged = stored.at("merged").as_object();
  ASSERT_EQ(merged.at("stored_bytes").as_int64(), static_cast<int64_t>(content.size()));
  ASSERT_EQ(merged.at("sha256").as_string(), base::HexEncode(base::Sha256(content)));
}

struct CrashCase {
  Layout layout;
  StoreKind store;
  bool lose_power;
};

std::string NameOf(const testing::TestParamInfo<CrashCase>& info) {
  std::string name(LayoutName(info.param.layout));
  name += info.param.store == StoreKind::kFiles ? "OnFiles" : "InPieces";
  return name + (info.param.lose_power ? "WithPowerLoss" : "");
}

// Between the steps at which the daemon dies.
int Stride() { return base::AtLength(1, 3); }

class LogShipperCrashTest : public testing::TestWithParam<CrashCase> {};

class PlainCrashTest : public LogShipperCrashTest {};

TEST_P(PlainCrashTest, BytesAreEqualWhereverTheDaemonDies) {
  const auto [layout, store, lose_power] = GetParam();
  const Script script{.layout = layout, .phases = ChattyTask(), .lose_power = lose_power};
  int die_at = 0;
  for (bool died = true; died && !HasFatalFailure(); die_at += Stride()) {
    ShippingWorld world(store);
    world.note = std::make_shared<EndNote>(EndNote{.reason = "OOM", .text = "only for airflow"});
    died = Play(world, script, die_at);
    ExpectPlainComplete(world);
    ExpectSumsInExitRecord(world, layout);
    ExpectRepeatsAreEqual(world);
  }
  EXPECT_GT(die_at, 20);
}

// A value that is cut by reads, flushes and deaths is overwritten all the same, once and for all.
TEST_P(PlainCrashTest, SecretsAreNeverStoredWhereverTheDaemonDies) {
  const std::string secret = "hunter22-of-many-letters";
  Phases phases;
  std::string expected;
  for (size_t cut = 1; cut < secret.size(); cut += 3) {
    phases.push_back([&secret, cut](SpoolWriter& w) {
      w.Write(Stream::kStdout, "before " + secret.substr(0, cut), kStart);
    });
    phases.push_back([&secret, cut](SpoolWriter& w) {
      w.Write(Stream::kStdout, secret.substr(cut) + " after\n", kStart);
    });
    expected += "before " + std::string(secret.size(), '*') + " after\n";
  }
  const auto [layout, store, lose_power] = GetParam();
  const Script script{
      .layout = layout,
      .phases = phases,
      .lose_power = lose_power,
      .redactor = std::make_shared<const Redactor>(std::vector<std::string>{secret})};
  int die_at = 0;
  for (bool died = true; died && !HasFatalFailure(); die_at += Stride()) {
    ShippingWorld world(store);
    died = Play(world, script, die_at);
    ASSERT_EQ(world.StoredStream(Stream::kStdout), expected) << die_at;
    ASSERT_EQ(Spooled(world, Stream::kStdout), expected) << die_at;
    ExpectSumsInExitRecord(world, layout);
    ExpectRepeatsAreEqual(world);
  }
  EXPECT_GT(die_at, 20);
}

class AirflowCrashTest : public LogShipperCrashTest {};

TEST_P(AirflowCrashTest, EachLineIsShownOnceWhereverTheDaemonDies) {
  const auto [layout, store, lose_power] = GetParam();
  const Script script{.layout = layout, .phases = ChattyTask(), .lose_power = lose_power};
  int die_at = 0;
  for (bool died = true; died && !HasFatalFailure(); die_at += Stride()) {
    ShippingWorld world(store);
    died = Play(world, script, die_at);
    ExpectAirflowComplete(world);
    ExpectSumsInExitRecord(world, layout);
    ExpectRepeatsAreEqual(world);
  }
  EXPECT_GT(die_at, 40);
}

// Whatever was cut and stored before the end was known, and also where there was no output at all.
TEST_P(AirflowCrashTest, WhyItEndedIsSaidOnceWhereverTheDaemonDies) {
  const auto [layout, store, lose_power] = GetParam();
  for (const bool silent : {false, true}) {
    if (!silent && store == StoreKind::kFiles && !lose_power) continue;  // as with power loss
    const Script script{
        .layout = layout,
        .phases = silent ? Phases() : ChattyTask(),
        .lose_power = lose_power,
        .redactor = std::make_shared<const Redactor>(std::vector<std::string>{"hunter22"})};
    int die_at = 0;
    for (bool died = true; died && !HasFatalFailure(); die_at += Stride()) {
      ShippingWorld world(store);
      world.note = std::make_shared<EndNote>(
          EndNote{.time_ms = kStart + 20'000, .reason = "OOM", .text = "FAILED/OOM: hunter22"});
      died = Play(world, script, die_at);
      world.note = std::make_shared<EndNote>(
          EndNote{.time_ms = kStart + 20'000, .reason = "OOM", .text = "FAILED/OOM: ********"});
      silent ? ExpectOnlyNote(world) : ExpectAirflowComplete(world);
      ExpectSumsInExitRecord(world, layout);
      ExpectRepeatsAreEqual(world);
    }
    EXPECT_GT(die_at, silent ? 6 : 40);
  }
}

TEST_P(PlainCrashTest, ADroppedMiddleIsMarkedOnceWhereverTheDaemonDies) {
  Phases phases;
  phases.push_back([](SpoolWriter& w) { w.Write(Stream::kStdout, std::string(100, 'a'), kStart); });
  phases.push_back([](SpoolWriter& w) {
    w.Write(Stream::kStdout, std::string(300, 'b'), kStart);
    w.Drop(Stream::kStdout, 120, 330);
    w.Write(Stream::kStderr, "x", kStart);
  });
  phases.push_back([](SpoolWriter& w) {
    w.Write(Stream::kStdout, std::string(50, 'c'), kStart);
    w.Drop(Stream::kStdout, 120, 380);
  });
  const auto [layout, store, lose_power] = GetParam();
  const Script script{.layout = layout, .phases = phases, .lose_power = lose_power};
  const std::string expected = std::string(100, 'a') + std::string(20, 'b') +
                               "\n[boxkeeper: dropped 260 bytes]\n" + std::string(20, 'b') +
                               std::string(50, 'c');
  int die_at = 0;
  for (bool died = true; died && !HasFatalFailure(); die_at += Stride()) {
    ShippingWorld world(store);
    died = Play(world, script, die_at);
    ASSERT_EQ(world.StoredStream(Stream::kStdout), expected) << die_at;
    ExpectSumsInExitRecord(world, layout);
  }
  EXPECT_GT(die_at, 10);
}

INSTANTIATE_TEST_SUITE_P(, PlainCrashTest,
                         testing::Values(CrashCase{Layout::kPlain, StoreKind::kFiles, false},
                                         CrashCase{Layout::kPlain, StoreKind::kFiles, true},
                                         CrashCase{Layout::kPlain, StoreKind::kPieces, false},
                                         CrashCase{Layout::kMetaflow, StoreKind::kFiles, true},
                                         CrashCase{Layout::kMetaflow, StoreKind::kPieces, false}),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(, AirflowCrashTest,
                         testing::Values(CrashCase{Layout::kAirflow, StoreKind::kFiles, false},
                                         CrashCase{Layout::kAirflow, StoreKind::kFiles, true},
                                         CrashCase{Layout::kAirflow, StoreKind::kPieces, false}),
                         NameOf);

}  // namespace
}  // namespace boxkeeper::logs
