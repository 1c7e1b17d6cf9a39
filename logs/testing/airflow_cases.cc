#include "logs/testing/airflow_cases.h"

#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/testing/faulty_file_system.h"
#include "boxkeeper/store/v1/records.pb.h"
#include "logs/airflow_piece.h"
#include "logs/layout_airflow.h"
#include "logs/log_path.h"
#include "logs/spool_reader.h"
#include "logs/testing/spool_writer.h"

namespace boxkeeper::logs {
namespace {

using namespace std::string_view_literals;

constexpr int64_t kStart = 1'767'225'600'000;  // 2026-01-01
constexpr uint64_t kOnePiece = 1 << 20;

// One task's spool, and its pieces as the shipper cuts them.
class Log {
 public:
  Log(AirflowCase& out, int64_t generation) : out_(out), generation_(generation) {}

  Log& Out(std::string_view bytes, int64_t after_ms = 0) {
    writer_.Write(Stream::kStdout, bytes, kStart + after_ms);
    return *this;
  }
  Log& Err(std::string_view bytes, int64_t after_ms = 0) {
    writer_.Write(Stream::kStderr, bytes, kStart + after_ms);
    return *this;
  }
  Log& Drop(Stream stream, uint64_t from, uint64_t to) {
    writer_.Drop(stream, from, to);
    return *this;
  }
  // The next piece of the running task, so long after the start.
  Log& Flush(int64_t after_ms) {
    Cut({.now_ms = kStart + after_ms});
    return *this;
  }
  // The rest, in pieces that are full above `piece_bytes`.
  void End(uint64_t piece_bytes = kOnePiece) {
    while (Cut({.stdout_bytes = writer_.size(Stream::kStdout),
                .stderr_bytes = writer_.size(Stream::kStderr),
                .end_note = note_,
                .accepted_at_ms = kStart,
                .target_bytes = piece_bytes})) {
    }
  }
  // Why it ended, so long after the start.
  Log& Note(const char* reason, const char* text, int64_t after_ms) {
    note_ = std::make_shared<EndNote>(
        EndNote{.time_ms = kStart + after_ms, .reason = reason, .text = text});
    return *this;
  }

 private:
  bool Cut(AirflowRenderer::Input input) {
    SpoolReader reader(files_, writer_.spool(), nullptr);
    auto cut = CutPiece(reader, cursor_, input);
    CHECK(cut.ok(), cut.status().ToString());
    if (cut->size > 0) {
      input.exact_bytes = cut->size;
      input.now_ms = 0;
      out_.objects.push_back(
          {AirflowPieceName(out_.path, generation_, piece_++), Content(reader, input)});
    }
    cursor_ = cut->to;
    return cut->size > 0;
  }

  std::string Content(const SpoolReader& reader, const AirflowRenderer::Input& input) {
    auto source = PieceOpener(reader, cursor_, input, nullptr)();
    CHECK(source.ok(), source.status().ToString());
    std::string content;
    for (;;) {
      auto block = (*source)->Next();
      CHECK(block.ok(), block.status().ToString());
      if (block->empty()) return content;
      content += *block;
    }
  }

  AirflowCase& out_;
  const int64_t generation_;
  int64_t piece_ = 0;
  EndNotePtr note_;
  base::FaultyFileSystem files_;
  SpoolWriter writer_{files_, "/spool/t"};
  store::v1::LogCursor cursor_;
};

std::string Record(std::string_view timestamp, std::string_view event) {
  return absl::StrCat("{\"timestamp\": ", std::string(timestamp),
                      ", \"level\": \"error\", \"event\": \"", std::string(event),
                      "\", \"logger\": \"own\"}\n");
}

void TextOfBothStreams(AirflowCase& out) {
  Log log(out, 1);
  log.Out("one\n").Err("two\n", 5).Out("three\nfour\n", 7).Err("five\n", 7);
  log.Out("hel", 8).Err("between\n", 9).Out("lo\n\n", 10);
  log.Out("2026-01-01T00:00:00Z looks like a date\n[a] {\"event\": \"no record\"}\n", 20);
  log.Out("nul \0, tab \t, escape \x1b[1m, quote \", \xc3\xa9, \xe2\x80\xa8, bad \xff\xfe\r\n"sv,
          30);
  log.Err("no newline at the end", 40).End();
}

void RecordsAndTracebacks(AirflowCase& out) {
  Log log(out, 1);
  log.Out("before\n");
  // Its own clock ran a little before the read that brought it.
  log.Out(Record("\"2026-01-01T00:00:00.998123Z\"", "first"), 1'000);
  log.Out("Traceback (most recent call last):\n  File \"x.py\", line 1\n", 1'001);
  log.Out("ValueError: x\n", 1'002);
  log.Out(Record("\"2026-01-01T01:00:01.100+01:00\"", "with an offset"), 1'110);
  log.Out(Record("1767225601.2", "with a number"), 1'210);
  log.Err(Record("\"2026-01-01T00:00:01.300000Z\"", "on stderr"), 1'305).Err("its text\n", 1'306);
  log.Out(Record("\"2026-01-01T00:00:02.000001Z\"", "of one") +
              Record("\"2026-01-01T00:00:02.000002Z\"", "millisecond"),
          2'010);
  log.Out("{\"timestamp\": \"no date\", \"event\": \"text to Airflow\"}\n", 3'000);
  log.Out("{\"timestamp\": \"2026-01-01T00:00:09Z\"}\n", 9'001).End();
}

void EqualLines(AirflowCase& out) {
  Log log(out, 1);
  log.Out("same\nsame\nsame\n\n\n").Err("same\nsame\n").Out("same\n", 1).Flush(500);
  log.Out("same\nsame\n", 600).Err("same\n", 600).End();
}

void LongLines(AirflowCase& out) {
  Log log(out, 1);
  log.Out("before\n" + std::string(2 * AirflowRenderer::kMaxLine + 10, 'z') + "\nafter\n");
  log.Err(std::string(AirflowRenderer::kMaxLine, 'e') + "\n", 1).End(1000);
}

void ManyPieces(AirflowCase& out) {
  Log log(out, 1);
  for (int i = 0; i < 120; ++i) {
    // Bursts within one millisecond, clocks that step back, repeated lines.
    const int64_t after = (i / 20) * 2 - (i % 37 == 0 ? 500 : 0);
    const std::string line = absl::StrCat("line ", i / 3, "\n");
    (i % 4 == 0) ? log.Err(line, after) : log.Out(line, after);
  }
  log.End(700);
}

void WhileItRuns(AirflowCase& out) {
  Log log(out, 1);
  log.Out("old\n").Out("just arrived\nunfini", 950).Flush(1'000);
  log.Err("error\n", 1'020).Flush(1'100).Out("shed\n", 1'150).Flush(1'200).Flush(1'300);
  log.Out(Record("\"2026-01-01T00:00:01.390Z\"", "own"), 1'400).Flush(1'600);
  log.Out("  its traceback\n", 1'610).Out("last", 2'000).End();
}

void TwoGenerations(AirflowCase& out) {
  Log first(out, 7);
  first.Out("first try\n").Err("fails\n", 10).Flush(500).Out("again\n", 600).End();
  // Its number has more digits.
  Log second(out, 31);
  second.Out("again\n", 60'000).Flush(60'500).Err("fails\n", 60'600).End();
}

void DroppedMiddle(AirflowCase& out) {
  Log log(out, 1);
  log.Out("begin\nthis is cut in the mid").Err("err\n", 2).Out("dle and gone\nend\n", 5);
  log.Drop(Stream::kStdout, 15, 40).Err("lost\nkept\n", 9).Drop(Stream::kStderr, 4, 9);
  log.End();
}

// The first generation never started, the second ran out of memory.
void WhyTasksEnded(AirflowCase& out) {
  Log(out, 3).Note("EXPIRED", "FAILED/EXPIRED: too late (the command was never started)", 50).End();
  Log second(out, 4);
  second.Out("works\n", 60'000).Flush(60'500).Err("still works\n", 60'700);
  second.Note("OOM", "FAILED/OOM: its memory limit killed it", 60'600).End(1);
}

void NotOurs(AirflowCase& out) {
  const auto line = [](int second, const char* event) {
    return absl::StrCat("{\"timestamp\":\"2026-01-01T00:00:0", second, "Z\",\"event\":\"", event,
                        "\"}\n");
  };
  out.objects = {
      {out.path + ".0", "text in front\ntext in front\n" + line(1, "equal") + line(5, "fifth") +
                            "follows the fifth\nfollows the fifth\n\nafter an empty line\n"},
      {out.path + ".1", "more text\n" + line(4, "fourth") + line(1, "equal") + line(4, "back")},
      {out.path + ".2", line(2, "twice") + line(2, "twice") + line(3, "third")},
  };
}

}  // namespace

std::vector<AirflowCase> MakeAirflowCases() {
  const std::pair<const char*, void (*)(AirflowCase&)> makers[] = {
      {"text of both streams", TextOfBothStreams},
      {"records and tracebacks", RecordsAndTracebacks},
      {"equal lines", EqualLines},
      {"long lines", LongLines},
      {"many pieces", ManyPieces},
      {"while it runs", WhileItRuns},
      {"two generations", TwoGenerations},
      {"dropped middle", DroppedMiddle},
      {"not ours", NotOurs},
      {"why tasks ended", WhyTasksEnded},
  };
  std::vector<AirflowCase> cases;
  for (const auto& [name, make] : makers) {
    cases.push_back({name, absl::StrCat("dag/run/case-", cases.size(), "/attempt=1.log")});
    make(cases.back());
  }
  return cases;
}

}  // namespace boxkeeper::logs
