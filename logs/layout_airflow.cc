#include "logs/layout_airflow.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "logs/airflow_record.h"

namespace boxkeeper::logs {
namespace {

constexpr size_t kWindowBytes = 256 * 1024;
constexpr size_t kIndexRecordsPerRead = 2048;
// An arrival after this is no time but damage: the end of the year 9999, the last that a record can
// say.
constexpr uint64_t kArrivalMaxMs = 253'402'300'799'999;
// A text line this soon after an existing record takes that record's timestamp.
constexpr int64_t kFollowsRecordUs = 2'000'000;

Stream FromSpool(base::SpoolStream stream) {
  return stream == base::SpoolStream::kStdout ? Stream::kStdout : Stream::kStderr;
}

// How many bytes at the end of `text` begin a character that is cut off there.
size_t CutCharacter(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    const size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return length > back ? back : 0;
  }
  return 0;
}

}  // namespace

AirflowRenderer::AirflowRenderer(SpoolReader& reader, store::v1::LogCursor cursor, Input input)
    : reader_(reader), cursor_(std::move(cursor)), input_(input), floor_ms_(cursor_.last_ms()) {}

bool AirflowRenderer::Wanted(Stream stream) const {
  return stream == Stream::kStdout ? input_.with_stdout : input_.with_stderr;
}
uint64_t AirflowRenderer::FinalSize(Stream stream) const {
  return stream == Stream::kStdout ? *input_.stdout_bytes : *input_.stderr_bytes;
}
uint64_t AirflowRenderer::Line(Stream stream) const {
  return static_cast<uint64_t>(stream == Stream::kStdout ? cursor_.stdout_line()
                                                         : cursor_.stderr_line());
}
uint64_t AirflowRenderer::Scanned(Stream stream) const {
  return static_cast<uint64_t>(stream == Stream::kStdout ? cursor_.stdout_scanned()
                                                         : cursor_.stderr_scanned());
}
void AirflowRenderer::SetLine(Stream stream, uint64_t offset) {
  const auto value = static_cast<int64_t>(offset);
  stream == Stream::kStdout ? cursor_.set_stdout_line(value) : cursor_.set_stderr_line(value);
}
void AirflowRenderer::SetScanned(Stream stream, uint64_t offset) {
  const auto value = static_cast<int64_t>(offset);
  stream == Stream::kStdout ? cursor_.set_stdout_scanned(value) : cursor_.set_stderr_scanned(value);
}

absl::StatusOr<bool> AirflowRenderer::Step(std::string& out) {
  if (!begun_) RETURN_IF_ERROR(Begin());
  begun_ = true;
  if (full_) return false;
  if (long_line_) {
    RETURN_IF_ERROR(EmitPart(out));
    return true;
  }
  if (!record_) {
    ASSIGN_OR_RETURN(const bool found, NextRecord());
    if (!found) {
      if (!ended()) return false;
      return Tail(out);
    }
  }
  return Scan(out);
}

// A line in progress may have been scanned before a part of it was dropped: look at it again from
// there.
absl::Status AirflowRenderer::Begin() {
  if (!ended()) return absl::OkStatus();
  for (const Stream stream : {Stream::kStdout, Stream::kStderr}) {
    if (!Wanted(stream)) continue;
    ASSIGN_OR_RETURN(const Hole hole, reader_.ReadHole(stream));
    if (!hole.empty() && Line(stream) < hole.to && Scanned(stream) > hole.from) {
      SetScanned(stream, std::max(Line(stream), hole.from));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> AirflowRenderer::FillIndex() {
  if (index_at_ < index_.size()) return true;
  ASSIGN_OR_RETURN(index_, reader_.ReadIndex(static_cast<uint64_t>(cursor_.index_records()),
                                             kIndexRecordsPerRead));
  index_at_ = 0;
  return !index_.empty();
}

// Makes the next index record with something to scan the current one; false if there is none (yet).
// Bytes that no record covers go with the next record of their stream.
absl::StatusOr<bool> AirflowRenderer::NextRecord() {
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, FillIndex());
    if (!more) return false;
    const auto parsed = base::ParseIndexRecord(std::string_view(index_).substr(index_at_));
    if (parsed && Wanted(FromSpool(parsed->stream))) {
      const auto arrival = static_cast<int64_t>(std::min(parsed->arrival_unix_ms, kArrivalMaxMs));
      if (!ended() && input_.now_ms > 0 && arrival <= input_.now_ms &&
          arrival > input_.now_ms - kSettleMs) {
        return false;
      }
      Record record{.stream = FromSpool(parsed->stream),
                    .to = parsed->offset + parsed->length,
                    .arrival_ms = arrival,
                    .in_index = true};
      if (ended()) record.to = std::min(record.to, FinalSize(record.stream));
      if (record.to > Scanned(record.stream)) {
        record_ = record;
        return true;
      }
    }
    index_at_ += base::kIndexRecordBytes;
    cursor_.set_index_records(cursor_.index_records() + 1);
  }
}

void AirflowRenderer::FinishRecord() {
  if (record_->in_index) {
    index_at_ += base::kIndexRecordBytes;
    cursor_.set_index_records(cursor_.index_records() + 1);
    cursor_.set_last_arrival_ms(record_->arrival_ms);
  }
  record_.reset();
}

// The index is exhausted and the task has ended: bytes it does not cover, then the lines without a
// newline.
absl::StatusOr<bool> AirflowRenderer::Tail(std::string& out) {
  const int64_t arrival = std::max(cursor_.last_arrival_ms(), input_.accepted_at_ms);
  for (const Stream stream : {Stream::kStdout, Stream::kStderr}) {
    if (!Wanted(stream)) continue;
    if (Scanned(stream) < FinalSize(stream)) {
      record_ = Record{.stream = stream, .to = FinalSize(stream), .arrival_ms = arrival};
      return true;
    }
  }
  for (const Stream stream : {Stream::kStdout, Stream::kStderr}) {
    if (!Wanted(stream) || Line(stream) >= FinalSize(stream)) continue;
    record_ = Record{.stream = stream, .to = FinalSize(stream), .arrival_ms = arrival};
    absl::StatusOr<bool> emitted = EmitLine(out, stream, FinalSize(stream), false);
    record_.reset();
    return emitted;
  }
  return Note(out);
}

// Everything is rendered.
absl::StatusOr<bool> AirflowRenderer::Note(std::string& out) {
  if (!input_.end_note || cursor_.end_noted()) return false;
  if (Full(std::nullopt)) {
    full_ = true;
    return false;
  }
  const size_t before = out.size();
  const EndNote& note = *input_.end_note;
  AppendEndRecord(out, TakeTime(note.time_ms * 1000), note.reason, note.text);
  Count(before, out);
  cursor_.set_end_noted(true);
  return true;
}

// Looks for lines in the current record; false if it cannot go on now.
absl::StatusOr<bool> AirflowRenderer::Scan(std::string& out) {
  const Stream stream = record_->stream;
  const uint64_t scanned = Scanned(stream);
  if (scanned >= record_->to) {
    FinishRecord();
    return true;
  }
  Window& window = windows_[static_cast<size_t>(stream)];
  if (!window.Holds(scanned)) {
    // With the beginning of the line in progress, if that is near.
    const uint64_t line = Line(stream);
    const uint64_t begin = scanned - line <= kWindowBytes / 2 ? line : scanned;
    const std::optional<uint64_t> final_size =
        ended() ? std::optional(FinalSize(stream)) : std::nullopt;
    ASSIGN_OR_RETURN(SpoolSlice slice,
                     reader_.ReadAt(stream, begin, scanned - begin + kWindowBytes, final_size));
    if (slice.freed) {
      return absl::AbortedError(
          absl::StrCat(std::string(StreamName(stream)), ": bytes from ", begin, " were freed"));
    }
    if (!slice.hole.empty() && !ended()) return false;
    redacted_ += slice.redacted;
    window = {begin, std::move(slice.data)};
    if (!window.Holds(scanned)) {
      if (!ended()) return false;  // bytes not there yet, or held back
      ASSIGN_OR_RETURN(slice, reader_.ReadAt(stream, scanned, 1, final_size));
      if (!slice.in_hole) {
        return absl::DataLossError(absl::StrCat(std::string(StreamName(stream)),
                                                ": the spool ends at ", slice.file_size, " of ",
                                                FinalSize(stream), " bytes"));
      }
      return PassHole(out, slice.hole);
    }
  }
  return ScanWindow(out);
}

absl::StatusOr<bool> AirflowRenderer::ScanWindow(std::string& out) {
  const Stream stream = record_->stream;
  const Window& window = windows_[static_cast<size_t>(stream)];
  const uint64_t end = std::min(record_->to, window.offset + window.data.size());
  while (Scanned(stream) < end) {
    const char* from = window.data.data() + (Scanned(stream) - window.offset);
    const void* newline = std::memchr(from, '\n', end - Scanned(stream));
    if (newline == nullptr) {
      SetScanned(stream, end);
      return true;
    }
    const uint64_t at = window.offset + static_cast<uint64_t>(static_cast<const char*>(newline) -
                                                              window.data.data());
    ASSIGN_OR_RETURN(const bool emitted, EmitLine(out, stream, at, true));
    if (!emitted) return false;
    if (long_line_) return true;
  }
  return true;
}

// At the first dropped byte: what there is of the line before it, then the marker; false if the
// piece is full.
absl::StatusOr<bool> AirflowRenderer::PassHole(std::string& out, const Hole& hole) {
  const Stream stream = record_->stream;
  if (Line(stream) < hole.from) {
    SetScanned(stream, hole.from);
    return EmitLine(out, stream, hole.from, false);
  }
  if (Full(std::nullopt)) {
    full_ = true;
    return false;
  }
  const size_t before = out.size();
  AppendDropRecord(out, stream, NextTime(stream), hole.to - Line(stream));
  Count(before, out);
  const uint64_t after = std::min(hole.to, FinalSize(stream));
  SetLine(stream, after);
  SetScanned(stream, after);
  return true;
}

absl::StatusOr<bool> AirflowRenderer::EmitLine(std::string& out, Stream stream, uint64_t end,
                                               bool newline) {
  const uint64_t line = Line(stream);
  if (end - line > kMaxLine) {
    if (Full(std::nullopt)) {
      full_ = true;
      return false;
    }
    long_line_ = LongLine{
        .stream = stream, .at = line, .end = end, .time_us = NextTime(stream), .newline = newline};
    return true;
  }
  const Window& window = windows_[static_cast<size_t>(stream)];
  std::string read;
  std::string_view text;
  if (window.offset <= line && end <= window.offset + window.data.size()) {
    text = std::string_view(window.data).substr(line - window.offset, end - line);
  } else {
    ASSIGN_OR_RETURN(read, ReadText(stream, line, end));
    text = read;
  }
  const std::optional<int64_t> existing = ExistingRecordTime(text);
  if (Full(existing)) {
    full_ = true;
    return false;
  }
  const size_t before = out.size();
  if (existing) {
    AppendExistingRecord(out, text);
    NoteExisting(stream, *existing);
  } else {
    AppendTextRecord(out, stream, NextTime(stream), text, 0);
  }
  Count(before, out);
  SetLine(stream, end + (newline ? 1 : 0));
  SetScanned(stream, std::max(Scanned(stream), Line(stream)));
  return true;
}

absl::Status AirflowRenderer::EmitPart(std::string& out) {
  LongLine& line = *long_line_;
  const uint64_t size = std::min<uint64_t>(kMaxLine, line.end - line.at);
  ASSIGN_OR_RETURN(std::string text, ReadText(line.stream, line.at, line.at + size));
  if (line.at + size < line.end) text.resize(text.size() - CutCharacter(text));
  const size_t before = out.size();
  AppendTextRecord(out, line.stream, line.time_us, text, line.part++);
  Count(before, out);
  line.at += text.size();
  if (line.at < line.end) return absl::OkStatus();
  SetLine(line.stream, line.end + (line.newline ? 1 : 0));
  SetScanned(line.stream, std::max(Scanned(line.stream), Line(line.stream)));
  long_line_.reset();
  return absl::OkStatus();
}

absl::StatusOr<std::string> AirflowRenderer::ReadText(Stream stream, uint64_t from, uint64_t to) {
  const std::optional<uint64_t> final_size =
      ended() ? std::optional(FinalSize(stream)) : std::nullopt;
  ASSIGN_OR_RETURN(SpoolSlice slice, reader_.ReadAt(stream, from, to - from, final_size));
  redacted_ += slice.redacted;
  if (slice.data.size() < to - from) {
    return absl::AbortedError(absl::StrCat(std::string(StreamName(stream)), ": bytes from ", from,
                                           " were dropped while they were rendered"));
  }
  return std::move(slice.data);
}

// Does the piece end in front of the next record? `existing_us`: it is a record already, of that
// time.
bool AirflowRenderer::Full(std::optional<int64_t> existing_us) const {
  if (bytes_ == 0) return false;
  if (input_.exact_bytes) return bytes_ >= *input_.exact_bytes;
  if (bytes_ < input_.target_bytes) return false;
  if (!existing_us || bytes_ >= kMaxPiece) return true;
  return *existing_us / 1000 > cursor_.last_ms();
}

int64_t AirflowRenderer::NextTime(Stream stream) {
  const int64_t arrival_us = record_->arrival_ms * 1000;
  int64_t base = arrival_us;
  const int64_t existing =
      stream == Stream::kStdout ? cursor_.stdout_json_us() : cursor_.stderr_json_us();
  if (existing > 0 && existing <= arrival_us && arrival_us - existing <= kFollowsRecordUs) {
    base = existing;
  }
  return TakeTime(base);
}

int64_t AirflowRenderer::TakeTime(int64_t wish_us) {
  const int64_t last_ms = cursor_.last_us() / 1000;
  const int64_t ms = std::max({wish_us / 1000, last_ms, floor_ms_ + 1});
  int64_t micros = ms == wish_us / 1000 ? wish_us % 1000 : 0;
  if (ms == last_ms) micros = (cursor_.last_us() % 1000 + 1) % 1000;
  const int64_t time = ms * 1000 + micros;
  cursor_.set_last_us(time);
  cursor_.set_last_ms(std::max(cursor_.last_ms(), ms));
  return time;
}

void AirflowRenderer::NoteExisting(Stream stream, int64_t time_us) {
  // One from the future says nothing about order.
  const bool sane = time_us <= record_->arrival_ms * 1000 + 999;
  const int64_t kept = sane ? time_us : 0;
  stream == Stream::kStdout ? cursor_.set_stdout_json_us(kept) : cursor_.set_stderr_json_us(kept);
  if (sane) cursor_.set_last_ms(std::max(cursor_.last_ms(), time_us / 1000));
}

std::string AirflowTextReader::Feed(std::string_view line) {
  const auto record = ParseRecordText(line);
  if (!record || record->stream.value_or(Stream::kStdout) != stream_) return {};
  std::string text;
  if (open_ && record->part <= 1) text = "\n";
  text += record->text;
  open_ = true;
  return text;
}

}  // namespace boxkeeper::logs
