// What logs/ reads of a spool, by the first byte: single records and lines; a spool of any content;
// a script of a command's writes, rendered in pieces while it runs and after its end, where every
// line must come out, once and in order.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "base/core/spool_format.h"
#include "base/testing/faulty_file_system.h"
#include "base/utf8.h"
#include "logs/airflow_piece.h"
#include "logs/airflow_record.h"
#include "logs/layout_airflow.h"
#include "logs/redactor.h"
#include "logs/spool_reader.h"
#include "logs/testing/airflow_reader.h"
#include "logs/testing/spool_writer.h"
#include "tests/fuzz/property.h"

namespace boxkeeper::fuzz {
namespace {

using namespace logs;

constexpr int64_t kStart = 1'767'225'600'000;  // 2026-01-01
// Steps that rendering some KiB may take.
constexpr int kStepsMax = 100'000;

void CheckRecords(std::string_view bytes) {
  if (const auto index = base::ParseIndexRecord(bytes)) {
    std::string encoded;
    base::AppendIndexRecord(encoded, *index);
    Require(encoded.size() == base::kIndexRecordBytes && base::ParseIndexRecord(encoded) == index,
            "an index record is stable");
  }
  if (const auto drop = base::ParseDropRecord(bytes)) {
    Require(base::ParseDropRecord(base::EncodeDropRecord(*drop)) == drop,
            "a drop record is stable");
  }
}

void RequireOneLine(const std::string& out) {
  Require(out.ends_with('\n') && out.find_first_of("\n\r") == out.size() - 1,
          "a record is one line", out);
}

void CheckLine(std::string_view line) {
  if (line.find('\n') != std::string_view::npos) return;
  (void)ParseRecordText(line);
  if (const auto time = ExistingRecordTime(line)) {
    std::string out;
    AppendExistingRecord(out, line);
    RequireOneLine(out);
    Require(ExistingRecordTime(std::string_view(out).substr(0, out.size() - 1)) == time,
            "a record keeps its time", out);
  }
  std::string out;
  AppendTextRecord(out, Stream::kStderr, kStart * 1000, line, 0);
  RequireOneLine(out);
  const auto text = ParseRecordText(std::string_view(out).substr(0, out.size() - 1));
  Require(text && text->stream == Stream::kStderr, "a text record reads back", out);
  if (base::IsUtf8(line)) Require(text->text == line, "a text record keeps its text", out);
}

void CheckRedactor(Input& input) {
  const std::string secret = input.Text();
  std::string window(input.Rest());
  const std::string before = window;
  const Redactor redactor({secret});
  Require(redactor.PendingSuffix(window) <= window.size(), "what is held back is there");
  const size_t hits = redactor.Redact(window);
  std::string expected = before;
  size_t occurrences = 0;
  for (size_t at = 0; secret.size() >= Redactor::kMinBytes && at < before.size(); ++at) {
    if (before.compare(at, secret.size(), secret) != 0) continue;
    expected.replace(at, secret.size(), secret.size(), '*');
    ++occurrences;
  }
  Require(window == expected && hits == occurrences, "every occurrence is overwritten", before);
  if (secret.size() >= Redactor::kMinBytes && secret.find('*') == std::string::npos) {
    Require(window.find(secret) == std::string::npos, "no secret is left");
  }
}

std::shared_ptr<Redactor> MakeRedactor(Input& input) {
  const std::string secret = input.Text();
  if (secret.empty()) return nullptr;
  return std::make_shared<Redactor>(std::vector<std::string>{secret});
}

// A spool as damage or a stranger may have left it: errors are fine, hanging and wild reads are
// not.
void CheckAnySpool(Input& input) {
  base::FaultyFileSystem files;
  Require(files.MakeDirectories("/spool/t", 0700).ok(), "a directory");
  const SpoolFiles spool("/spool/t");
  const auto redactor = MakeRedactor(input);
  AirflowRenderer::Input how{.accepted_at_ms = kStart, .target_bytes = 200};
  const uint8_t flags = input.Byte();
  if (flags & 1) {
    how.stdout_bytes = input.Number<uint16_t>();
    how.stderr_bytes = input.Number<uint16_t>();
  } else {
    how.now_ms = kStart;
  }
  if (flags & 2) {
    const base::DropRecord drop{.from = input.Number<uint16_t>(), .to = input.Number<uint16_t>()};
    files.SetContent("/spool/t/stdout.drop", base::EncodeDropRecord(drop));
  }
  if (flags & 4) files.SetContent("/spool/t/stderr.drop", std::string(input.Take(40)));
  files.SetContent(spool.stdout_path(), input.LongText());
  files.SetContent(spool.stderr_path(), input.LongText());
  files.SetContent(spool.index_path(), std::string(input.Rest()));
  SpoolReader reader(files, spool, redactor);
  for (uint64_t offset = 0; offset < 400; offset += 50) {
    const auto slice = reader.ReadAt(Stream::kStdout, offset, 60, how.stdout_bytes);
    if (slice.ok()) Require(slice->data.size() <= 60, "no more than was asked for");
  }
  store::v1::LogCursor cursor;
  int steps = 0;
  for (bool again = true; again;) {
    AirflowRenderer renderer(reader, cursor, how);
    std::string out;
    absl::StatusOr<bool> more = true;
    while (more.ok() && *more) {
      more = renderer.Step(out);
      Require(++steps < kStepsMax, "rendering ends");
    }
    cursor = renderer.cursor();
    again = more.ok() && renderer.piece_full() && renderer.bytes() > 0;
  }
}

// What a command printed, as a reader of the stored log must see it.
class Script {
 public:
  void Run(Input& input) {
    const uint64_t target = 1 + input.Byte();
    while (!input.empty()) {
      const uint8_t what = input.Byte();
      const Stream stream = what & 1 ? Stream::kStderr : Stream::kStdout;
      now_ += what >> 4;
      if ((what >> 1) % 4 == 0) {
        CutRunning(target);
        continue;
      }
      const std::string bytes = input.Text();
      if (bytes.empty()) continue;
      text_[static_cast<size_t>(stream)] += bytes;
      if ((what >> 1) % 4 == 1) {
        writer_.WriteWithoutIndex(stream, bytes);
      } else {
        writer_.Write(stream, bytes, now_);
      }
    }
    CutEnded(target);
    Compare();
  }

 private:
  // As the shipper: cut, then rendered again for the upload, byte for byte the same.
  bool Cut(AirflowRenderer::Input how) {
    SpoolReader reader(files_, writer_.spool(), nullptr);
    const auto cut = CutPiece(reader, cursor_, how);
    Require(cut.ok(), "a piece can be cut", cut.status().ToString());
    if (cut->size > 0) {
      how.exact_bytes = cut->size;
      how.now_ms = 0;
      auto source = PieceOpener(reader, cursor_, how, nullptr)();
      Require(source.ok(), "a piece can be opened");
      std::string again;
      for (;;) {
        const auto block = (*source)->Next();
        Require(block.ok(), "a piece can be read", block.status().ToString());
        if (block->empty()) break;
        again += *block;
      }
      Require(again.size() == cut->size, "a piece repeats");
      if (cut->content) Require(again == *cut->content, "a piece repeats byte for byte", again);
      pieces_.push_back(again);
    }
    cursor_ = cut->to;
    return cut->size > 0;
  }

  void CutRunning(uint64_t target) {
    Cut({.accepted_at_ms = kStart, .now_ms = now_, .target_bytes = target});
  }

  void CutEnded(uint64_t target) {
    AirflowRenderer::Input how{.stdout_bytes = writer_.size(Stream::kStdout),
                               .stderr_bytes = writer_.size(Stream::kStderr),
                               .accepted_at_ms = kStart,
                               .target_bytes = target};
    int pieces = 0;
    while (Cut(how)) Require(++pieces < kStepsMax, "rendering ends");
  }

  // Lines that are records already stand under names of their own, and may be dated anywhere.
  static bool Comparable(const std::string& text) {
    if (!base::IsUtf8(text)) return false;
    for (const auto line : absl::StrSplit(text, '\n')) {
      if (ExistingRecordTime(std::string_view(line.data(), line.size()))) return false;
    }
    return true;
  }

  void Compare() {
    if (!Comparable(text_[0]) || !Comparable(text_[1])) return;
    std::vector<std::string> seen[2];
    for (const ShownRecord& record : ShowInAirflow(pieces_)) {
      Require(record.has_timestamp, "every record has a time", record.event);
      seen[record.logger == "task.stdout" ? 0 : 1].push_back(record.event);
    }
    for (const int stream : {0, 1}) {
      std::string text = text_[stream];
      if (text.ends_with('\n')) text.pop_back();
      std::vector<std::string> lines;
      if (!text_[stream].empty()) lines = absl::StrSplit(text, '\n');
      Require(seen[stream] == lines, "every line is shown once and in order", text_[stream]);
    }
  }

  base::FaultyFileSystem files_;
  SpoolWriter writer_{files_, "/spool/t"};
  store::v1::LogCursor cursor_;
  std::vector<std::string> pieces_;
  std::string text_[2];
  int64_t now_ = kStart;
};

}  // namespace
}  // namespace boxkeeper::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace boxkeeper::fuzz;
  Input input(data, size);
  switch (input.Byte() % 5) {
    case 0:
      CheckRecords(input.Rest());
      break;
    case 1:
      CheckLine(input.Rest());
      break;
    case 2:
      CheckRedactor(input);
      break;
    case 3:
      CheckAnySpool(input);
      break;
    default:
      Script().Run(input);
      break;
  }
  return 0;
}
