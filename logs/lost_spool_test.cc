// A power cut takes from the spool what was stored, cut or waiting: the log still comes to its end,
// tells what is missing, and says nothing of what the store does not have.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/core/spool_format.h"
#include "base/hex.h"
#include "base/sha256.h"
#include "logs/log_path.h"
#include "logs/testing/airflow_reader.h"
#include "logs/testing/shipping_world.h"

namespace boxkeeper::logs {
namespace {

using std::chrono::seconds;

constexpr int64_t kStart = 1'767'225'600'000;
constexpr std::array kStreams{Stream::kStdout, Stream::kStderr};

struct LostCase {
  Layout layout;
  StoreKind store;
  bool attested;  // the end tells the sizes; else the spool's own are taken
};

std::string NameOf(const testing::TestParamInfo<LostCase>& info) {
  std::string name(LayoutName(info.param.layout));
  name += info.param.store == StoreKind::kFiles ? "OnFiles" : "InPieces";
  return name + (info.param.attested ? "Attested" : "Lost");
}

class LostSpoolTest : public testing::TestWithParam<LostCase> {
 protected:
  void Write(int phase) {
    for (int i = 0; i < 10; ++i) {
      const int64_t at = kStart + phase * 10'000 + i;
      world_->writer.Write(Stream::kStdout, absl::StrCat("line ", phase, " ", i, "\n"), at);
      if (i % 4 == 0) world_->writer.Write(Stream::kStderr, absl::StrCat("err ", phase, "\n"), at);
    }
    // A line in progress.
    world_->writer.Write(Stream::kStdout, "begun ", kStart + phase * 10'000 + 11);
  }

  // Ships until step `die_at`; false if there was none.
  bool ShipAndDie(int die_at) {
    ShippingDaemon daemon(*world_, die_at, {.flush_bytes = 100, .flush_bytes_max = 100});
    daemon.shipper().Track(world_->Job(GetParam().layout));
    for (int phase = 0; phase < 3 && !daemon.dead(); ++phase) {
      Write(phase);
      daemon.clock().Advance(seconds(40));
    }
    if (!daemon.dead()) daemon.shipper().NoteEnd(world_->task, world_->End());
    daemon.clock().Advance(seconds(1));
    return daemon.dead();
  }

  std::string Spooled(Stream stream) {
    return world_->spool_files.Content(world_->writer.spool().path(stream)).value_or("");
  }

  // `percent` of what was written is left.
  void CutPower(uint64_t percent) {
    world_->Crash(/*power_loss=*/true, percent);
    for (const Stream stream : kStreams) {
      written_[static_cast<size_t>(stream)] = Spooled(stream);
      const std::string& all = written_[static_cast<size_t>(stream)];
      if (all.empty()) continue;
      world_->spool_files.SetContent(world_->writer.spool().path(stream),
                                     all.substr(0, all.size() * percent / 100));
    }
    const std::string path = world_->writer.spool().index_path();
    const std::string index = world_->spool_files.Content(path).value_or("");
    const uint64_t records = index.size() / base::kIndexRecordBytes * percent / 100;
    world_->spool_files.SetContent(path, index.substr(0, records * base::kIndexRecordBytes));
  }

  // What the journal says that the store has of the stream.
  uint64_t Confirmed(Stream stream) {
    uint64_t confirmed = 0;
    for (const store::v1::LogRecord& record : world_->journal.records) {
      if (!record.confirmed()) continue;
      int64_t to = record.stream() == StreamName(stream) ? record.to() : 0;
      if (record.stream() == "merged") {
        to = stream == Stream::kStdout ? record.cursor_to().stdout_line()
                                       : record.cursor_to().stderr_line();
      }
      confirmed = std::max(confirmed, static_cast<uint64_t>(to));
    }
    return confirmed;
  }

  void Finish() {
    ShippingDaemon daemon(*world_);
    daemon.shipper().Track(world_->Job(GetParam().layout));
    LogEnd end = world_->End();
    if (!GetParam().attested) {
      end.stdout_bytes = Spooled(Stream::kStdout).size();
      end.stderr_bytes = Spooled(Stream::kStderr).size();
      end.unattested = true;
    }
    daemon.shipper().NoteEnd(world_->task, std::move(end));
    daemon.clock().Advance(seconds(60));
    ASSERT_EQ(daemon.completed(), 1);
  }

  // As a reader of the store sees it.
  std::string Stored(Stream stream) {
    if (GetParam().layout != Layout::kAirflow) return world_->StoredStream(stream);
    std::string text;
    const std::string logger = absl::StrCat("task.", std::string(StreamName(stream)));
    for (const ShownRecord& record :
         ShowInAirflow(world_->Objects("dag/run/attempt=1.log.0000000000000042."))) {
      if (record.logger == logger) text += record.event + "\n";
    }
    return text;
  }

  void ExpectTheTruth() {
    const std::string lost = world_->journal.records.back().lost();
    ASSERT_TRUE(world_->journal.records.back().complete());
    const auto records = world_->Objects("_boxkeeper/" + world_->task.ToString() + "/");
    ASSERT_EQ(records.size(), 1u);
    const auto parsed = boost::json::parse(records[0]);
    const auto& facts = parsed.at("stored").as_object();
    bool all = true;
    for (const Stream stream : kStreams) {
      std::string stored = Stored(stream);
      const std::string& written = written_[static_cast<size_t>(stream)];
      const auto& told = facts.at(std::string(StreamName(stream))).as_object();
      const auto raw_bytes = static_cast<size_t>(told.at("raw_bytes").as_int64());
      // Airflow shows a line that was cut off as one.
      const bool cut_off = GetParam().layout == Layout::kAirflow && stored.size() == raw_bytes + 1;
      if (cut_off && stored.ends_with('\n')) stored.pop_back();
      ASSERT_TRUE(written.starts_with(stored)) << stored << "\n--- of\n" << written;
      ASSERT_GE(stored.size(), std::max<uint64_t>(Spooled(stream).size(), Confirmed(stream)));
      all = all && stored.size() == written.size();
      ASSERT_EQ(raw_bytes, stored.size());
      if (GetParam().layout == Layout::kAirflow) continue;
      ASSERT_EQ(told.at("stored_bytes").as_int64(), static_cast<int64_t>(stored.size()));
      ASSERT_EQ(told.at("sha256").as_string(), base::HexEncode(base::Sha256(stored)));
    }
    ASSERT_EQ(lost.empty(), all || !GetParam().attested) << lost;
    ASSERT_EQ(facts.contains("lost"), !lost.empty());
    if (GetParam().layout != Layout::kAirflow) return;
    std::string content;
    for (const auto& piece : world_->Objects(world_->Job(Layout::kAirflow).path + ".")) {
      content += piece;
    }
    ASSERT_EQ(facts.at("merged").as_object().at("sha256").as_string(),
              base::HexEncode(base::Sha256(content)));
  }

  void Reset() {
    world_ = std::make_unique<ShippingWorld>(GetParam().store);
    written_ = {};
  }

  std::unique_ptr<ShippingWorld> world_ = std::make_unique<ShippingWorld>(GetParam().store);
  std::array<std::string, 2> written_;
};

TEST_P(LostSpoolTest, TheLogEndsWithWhatThereIsAndSaysWhatIsNot) {
  for (const uint64_t percent : {0, 40, 95}) {
    int die_at = 0;
    for (bool died = true; died && !HasFatalFailure(); ++die_at) {
      Reset();
      died = ShipAndDie(die_at);
      if (!died) break;
      CutPower(percent);
      Finish();
      ExpectTheTruth();
      if (HasFatalFailure()) FAIL() << percent << "% left, died at " << die_at;
    }
    EXPECT_GT(die_at, 10);
  }
}

INSTANTIATE_TEST_SUITE_P(, LostSpoolTest,
                         testing::Values(LostCase{Layout::kPlain, StoreKind::kFiles, true},
                                         LostCase{Layout::kPlain, StoreKind::kFiles, false},
                                         LostCase{Layout::kPlain, StoreKind::kPieces, true},
                                         LostCase{Layout::kPlain, StoreKind::kPieces, false},
                                         LostCase{Layout::kMetaflow, StoreKind::kPieces, true},
                                         LostCase{Layout::kMetaflow, StoreKind::kPieces, false},
                                         LostCase{Layout::kAirflow, StoreKind::kPieces, true},
                                         LostCase{Layout::kAirflow, StoreKind::kFiles, false}),
                         NameOf);

}  // namespace
}  // namespace boxkeeper::logs
