#include "logs/layout_airflow.h"

#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/sha256.h"
#include "base/testing/faulty_file_system.h"
#include "logs/airflow_piece.h"
#include "logs/airflow_record.h"
#include "logs/testing/airflow_reader.h"
#include "logs/testing/spool_writer.h"

namespace boxkeeper::logs {
namespace {

using namespace std::string_literals;

constexpr int64_t kStart = 1'767'225'600'000;  // 2026-01-01

class LayoutAirflowTest : public testing::Test {
 protected:
  void Out(std::string_view bytes, int64_t at = kStart) {
    writer_.Write(Stream::kStdout, bytes, at);
  }
  void Err(std::string_view bytes, int64_t at = kStart) {
    writer_.Write(Stream::kStderr, bytes, at);
  }
  SpoolReader Reader() { return {files_, writer_.spool(), redactor_}; }
  AirflowRenderer::Input Ended(uint64_t target = 1 << 20) {
    return {.stdout_bytes = writer_.size(Stream::kStdout),
            .stderr_bytes = writer_.size(Stream::kStderr),
            .end_note = note_,
            .accepted_at_ms = kStart,
            .target_bytes = target};
  }
  static AirflowRenderer::Input Running(int64_t now_ms) { return {.now_ms = now_ms}; }

  // The next piece, as the shipper makes it: cut, then rendered again from the same cursor. Empty:
  // nothing to cut.
  std::string Piece(AirflowRenderer::Input input) {
    SpoolReader reader = Reader();
    auto cut = CutPiece(reader, cursor_, input);
    EXPECT_TRUE(cut.ok()) << cut.status();
    if (!cut.ok()) return "";
    std::string again;
    if (cut->size > 0) {
      input.exact_bytes = cut->size;
      input.now_ms = 0;
      auto source = PieceOpener(Reader(), cursor_, input, nullptr)();
      for (;;) {
        auto block = (*source)->Next();
        EXPECT_TRUE(block.ok()) << block.status();
        if (!block.ok() || block->empty()) break;
        EXPECT_LE(block->size(), 3u << 20);
        again += *block;
      }
      EXPECT_EQ(again.size(), cut->size);
      EXPECT_EQ(base::Sha256(again), cut->sha256);
      if (cut->content) EXPECT_EQ(again, *cut->content);
    }
    cursor_ = cut->to;
    all_rendered_ = cut->all_rendered;
    return again;
  }

  // All pieces of the ended log.
  std::vector<std::string> Pieces(uint64_t target) {
    std::vector<std::string> pieces;
    for (std::string piece = Piece(Ended(target)); !piece.empty(); piece = Piece(Ended(target))) {
      pieces.push_back(piece);
    }
    return pieces;
  }

  static std::vector<std::string> Events(const std::vector<std::string>& objects) {
    std::vector<std::string> events;
    for (const ShownRecord& record : ShowInAirflow(objects)) {
      EXPECT_TRUE(record.has_timestamp) << record.event;
      events.push_back(record.event);
    }
    return events;
  }

  base::FaultyFileSystem files_;
  SpoolWriter writer_{files_, "/spool/t"};
  std::shared_ptr<Redactor> redactor_;
  EndNotePtr note_;
  store::v1::LogCursor cursor_;
  bool all_rendered_ = false;
};

using Strings = std::vector<std::string>;

TEST_F(LayoutAirflowTest, LinesOfBothStreamsAreMergedByArrival) {
  Out("one\n", kStart);
  Err("two\n", kStart + 5);
  Out("three\nfour\n", kStart + 7);
  Err("five\n", kStart + 7);
  const std::string piece = Piece(Ended());
  EXPECT_EQ(Events({piece}), (Strings{"one", "two", "three", "four", "five"}));
  EXPECT_TRUE(
      piece.starts_with("{\"timestamp\":\"2026-01-01T00:00:00.000000Z\",\"level\":\"info\","
                        "\"logger\":\"task.stdout\",\"event\":\"one\"}\n"))
      << piece;
  EXPECT_TRUE(all_rendered_);
}

TEST_F(LayoutAirflowTest, ALineSplitAcrossReadsIsOneRecord) {
  Out("hel");
  Err("between\n", kStart + 1);
  Out("lo wor", kStart + 2);
  Out("ld\nnext", kStart + 3);
  EXPECT_EQ(Events({Piece(Ended())}), (Strings{"between", "hello world", "next"}));
}

TEST_F(LayoutAirflowTest, WhileTheTaskRunsAnUnfinishedLineWaits) {
  Out("done\nnot yet");
  EXPECT_EQ(Events({Piece(Running(kStart + 1000))}), Strings{"done"});
  EXPECT_EQ(Piece(Running(kStart + 2000)), "");
  Out(" but now\n", kStart + 3000);
  EXPECT_EQ(Events({Piece(Running(kStart + 4000))}), Strings{"not yet but now"});
  EXPECT_EQ(Pieces(1 << 20).size(), 0u);
}

TEST_F(LayoutAirflowTest, WhatHasJustArrivedWaitsForTheNextPiece) {
  Out("old\n", kStart);
  Out("new\n", kStart + 950);
  EXPECT_EQ(Events({Piece(Running(kStart + 1000))}), Strings{"old"});
  EXPECT_EQ(Events({Piece(Running(kStart + 1100))}), Strings{"new"});
}

TEST_F(LayoutAirflowTest, RepeatedLinesOfOneMomentAreAllShown) {
  Out("same\nsame\nsame\n\n\n");
  Err("same\n");
  EXPECT_EQ(Events({Piece(Ended())}), (Strings{"same", "same", "same", "", "", "same"}));
}

TEST_F(LayoutAirflowTest, PiecesOfAnySizeShowTheSame) {
  Strings expected;
  for (int i = 0; i < 300; ++i) {
    // Bursts within one millisecond, clocks that step back, repeated lines.
    const int64_t at = kStart + (i / 50) * 2 - (i % 97 == 0 ? 500 : 0);
    const std::string line = absl::StrCat("line ", i / 3);
    (i % 4 == 0) ? Err(line + "\n", at) : Out(line + "\n", at);
    expected.push_back(line);
  }
  for (const uint64_t target : {1u, 500u, 5'000u, 1'000'000u}) {
    cursor_ = {};
    const Strings pieces = Pieces(target);
    EXPECT_EQ(Events(pieces), expected) << target;
    if (target == 1) EXPECT_EQ(pieces.size(), 300u);
    for (const std::string& piece : pieces) EXPECT_TRUE(piece.ends_with("\n"));
  }
}

TEST_F(LayoutAirflowTest, ExistingRecordsPassUnchangedAndKeepTheirOrder) {
  const std::string a = R"({"timestamp":"2026-01-01T00:00:00.100Z","event":"a","x":1})";
  const std::string b = R"({"timestamp":"2026-01-01T00:00:00.101Z","event":"b"})";
  // They arrive some milliseconds after their own timestamps, with a traceback between them.
  Out(a + "\nTraceback\n  line 1\n" + b + "\n", kStart + 108);
  const std::string piece = Piece(Ended());
  EXPECT_EQ(Events({piece}), (Strings{"a", "Traceback", "  line 1", "b"}));
  EXPECT_NE(piece.find(a + "\n"), std::string::npos);
  EXPECT_NE(piece.find(b + "\n"), std::string::npos);
}

TEST_F(LayoutAirflowTest, APieceIsNotCutBetweenExistingRecordsOfOneMillisecond) {
  Strings expected;
  for (int i = 0; i < 20; ++i) {
    const std::string event = absl::StrCat("e", i);
    Out(absl::StrCat(R"({"timestamp":"2026-01-01T00:00:00.)", 100 + i / 5, R"(Z","event":")", event,
                     "\"}\n"),
        kStart + 130);
    expected.push_back(event);
  }
  const Strings pieces = Pieces(1);
  EXPECT_EQ(pieces.size(), 4u);
  EXPECT_EQ(Events(pieces), expected);
}

TEST_F(LayoutAirflowTest, LongLinesBecomeSeveralRecordsOfOneTimestampInOnePiece) {
  // Multi-byte characters lie across the borders of the parts.
  std::string line = "x";
  while (line.size() < 3 * AirflowRenderer::kMaxLine) line += "\xe6\x97\xa5";
  Out("before\n" + line.substr(0, 1000), kStart);
  Err("meanwhile\n", kStart + 1);
  Out(line.substr(1000) + "\nafter\n", kStart + 2);
  const Strings pieces = Pieces(1);
  const Strings events = Events(pieces);
  ASSERT_EQ(events.size(), 7u);
  EXPECT_EQ(events[0], "before");
  EXPECT_EQ(events[1], "meanwhile");
  std::string joined;
  for (size_t i = 2; i < 6; ++i) joined += events[i];
  EXPECT_EQ(joined, line);
  EXPECT_EQ(events[6], "after");
  EXPECT_EQ(pieces.size(), 4u);
  std::set<std::string> times;
  for (const auto& part : absl::StrSplit(pieces[2], '\n', absl::SkipEmpty())) {
    times.insert(std::string(part.substr(0, 42)));
  }
  EXPECT_EQ(times.size(), 1u);
}

TEST_F(LayoutAirflowTest, ALongLineOfEqualPartsIsShownWhole) {
  const std::string line(5 * AirflowRenderer::kMaxLine + 7, 'A');
  Out(line);
  std::string joined;
  for (const std::string& event : Events(Pieces(1 << 20))) joined += event;
  EXPECT_EQ(joined, line);
}

TEST_F(LayoutAirflowTest, AnyBytesBecomeValidRecords) {
  Out("nul \0 ansi \x1b[31mred\x1b[0m bad \xff\xfe end\r\n\x0b\x0c\x85\n"s);
  EXPECT_EQ(Events({Piece(Ended())}),
            (Strings{"nul \0 ansi \x1b[31mred\x1b[0m bad \xef\xbf\xbd\xef\xbf\xbd end\r"s,
                     "\x0b\x0c\xef\xbf\xbd"}));
}

TEST_F(LayoutAirflowTest, BytesWithoutIndexAreNotLost) {
  writer_.WriteWithoutIndex(Stream::kStdout, "first\nsec");
  Err("err\n", kStart + 10);
  Out("ond\n", kStart + 20);
  writer_.WriteWithoutIndex(Stream::kStdout, "third\nfourth");
  EXPECT_EQ(Events({Piece(Ended())}), (Strings{"err", "first", "second", "third", "fourth"}));
}

TEST_F(LayoutAirflowTest, ADamagedIndexLosesNoLine) {
  Out("one\n");
  Out("two\n", kStart + 1);
  Out("three\n", kStart + 2);
  std::string index = *files_.Content("/spool/t/index");
  index[24] = 77;  // the second record names no stream
  files_.SetContent("/spool/t/index", index);
  EXPECT_EQ(Events({Piece(Ended())}), (Strings{"one", "two", "three"}));
}

TEST_F(LayoutAirflowTest, ADroppedMiddleIsMarkedAtItsPlace) {
  Out("first line\nsecond li", kStart);
  Out("ne that is dropped\nmore of it\n", kStart + 1);
  Out("later part of a line\nlast\n", kStart + 2);
  writer_.Drop(Stream::kStdout, 20, 60);
  EXPECT_EQ(
      Events({Piece(Ended())}),
      (Strings{"first line", "second li", "[boxkeeper: dropped 40 bytes]", " of a line", "last"}));
}

TEST_F(LayoutAirflowTest, WhileTheTaskRunsRenderingWaitsInFrontOfAHole) {
  Out("0123456789\n");
  EXPECT_EQ(Events({Piece(Running(kStart + 1000))}), Strings{"0123456789"});
  Out("abcdefghij\nABCDEFGHIJ\n", kStart + 2000);
  writer_.Drop(Stream::kStdout, 15, 25);
  EXPECT_EQ(Piece(Running(kStart + 3000)), "");
  EXPECT_EQ(Events({Piece(Ended())}),
            (Strings{"abcd", "[boxkeeper: dropped 10 bytes]", "DEFGHIJ"}));
}

TEST_F(LayoutAirflowTest, ALineThatWasScannedBeforeItsMiddleWasDropped) {
  Out("0123456789");
  EXPECT_EQ(Piece(Running(kStart + 1000)), "");
  Out("abcdefghij\n", kStart + 2000);
  writer_.Drop(Stream::kStdout, 4, 8);
  EXPECT_EQ(Events({Piece(Ended())}),
            (Strings{"0123", "[boxkeeper: dropped 4 bytes]", "89abcdefghij"}));
}

TEST_F(LayoutAirflowTest, OnlyTheWantedStreams) {
  Out("out\n");
  Err("err\n");
  AirflowRenderer::Input input = Ended();
  input.with_stdout = false;
  EXPECT_EQ(Events({Piece(input)}), Strings{"err"});
}

TEST_F(LayoutAirflowTest, SecretsAreOverwrittenBeforeRendering) {
  redactor_ = std::make_shared<Redactor>(std::vector<std::string>{"hunter\n22"});
  Out("pass hunt");
  EXPECT_EQ(Piece(Running(kStart + 1000)), "");
  Out("er\n22 ok\n", kStart + 1);
  EXPECT_EQ(Events({Piece(Running(kStart + 1000))}), Strings{"pass ********* ok"});
}

TEST_F(LayoutAirflowTest, ASpoolShorterThanItsFinalSizeIsDataLoss) {
  Out("one\n");
  AirflowRenderer::Input input = Ended();
  input.stdout_bytes = 100;
  SpoolReader reader = Reader();
  EXPECT_TRUE(absl::IsDataLoss(CutPiece(reader, cursor_, input).status()));
}

TEST_F(LayoutAirflowTest, ADamagedArrivalDatesNothingBeyondTheYear9999) {
  Out("one\n", std::numeric_limits<int64_t>::max());
  const std::string piece = Piece(Ended());
  EXPECT_TRUE(piece.starts_with("{\"timestamp\":\"9999-12-31T23:59:59.999000Z\"")) << piece;
}

TEST_F(LayoutAirflowTest, WhyItEndedIsTheLastRecordOnce) {
  Out("one\ntwo");
  AirflowRenderer::Input input = Ended();
  input.end_note = std::make_shared<EndNote>(
      EndNote{.time_ms = kStart + 5000, .reason = "OOM", .text = "FAILED/OOM"});
  const std::string piece = Piece(input);
  EXPECT_EQ(Events({piece}), (Strings{"one", "two", "FAILED/OOM"}));
  EXPECT_NE(piece.find("{\"timestamp\":\"2026-01-01T00:00:05.000000Z\",\"level\":\"error\","
                       "\"logger\":\"boxkeeper\",\"event\":\"FAILED/OOM\""),
            std::string::npos);
  EXPECT_EQ(Piece(input), "");
}

// The end may be older than the arrival of the last output, and the piece may be full.
TEST_F(LayoutAirflowTest, WhyItEndedIsBehindAllElseAndMayBeAPieceOfItsOwn) {
  Out("one\n", kStart + 100);
  AirflowRenderer::Input input = Ended(1);
  input.end_note =
      std::make_shared<EndNote>(EndNote{.time_ms = kStart, .reason = "SIGNAL", .text = "killed"});
  const std::string first = Piece(input);
  const std::string second = Piece(input);
  EXPECT_EQ(Events({first}), Strings{"one"});
  EXPECT_TRUE(second.starts_with("{\"timestamp\":\"2026-01-01T00:00:00.101000Z\"")) << second;
  EXPECT_EQ(Events({first, second}), (Strings{"one", "killed"}));
  EXPECT_EQ(Piece(input), "");
}

TEST_F(LayoutAirflowTest, ATaskWithoutOutputSaysWhyItEnded) {
  AirflowRenderer::Input input = Ended();
  input.end_note = std::make_shared<EndNote>(
      EndNote{.time_ms = kStart + 7, .reason = "EXPIRED", .text = "too late"});
  EXPECT_EQ(Events({Piece(input)}), Strings{"too late"});
  EXPECT_EQ(Piece(input), "");
}

TEST_F(LayoutAirflowTest, TheTextOfEachStreamCanBeReadBack) {
  Out("one\n\ntwo");
  Err("err 1\n", kStart + 1);
  Out(" three\n" + std::string(AirflowRenderer::kMaxLine + 10, 'z') + "\nend", kStart + 2);
  note_ = std::make_shared<EndNote>(EndNote{.time_ms = kStart, .reason = "OOM", .text = "OOM"});
  std::string out;
  std::string err;
  AirflowTextReader out_reader(Stream::kStdout);
  AirflowTextReader err_reader(Stream::kStderr);
  for (const std::string& piece : Pieces(100)) {
    for (const auto& line : absl::StrSplit(piece, '\n', absl::SkipEmpty())) {
      out += out_reader.Feed(std::string(line));
      err += err_reader.Feed(std::string(line));
    }
  }
  EXPECT_EQ(out, "one\n\ntwo three\n" + std::string(AirflowRenderer::kMaxLine + 10, 'z') + "\nend");
  EXPECT_EQ(err, "err 1");
  EXPECT_TRUE(out_reader.open());
}

}  // namespace
}  // namespace boxkeeper::logs
