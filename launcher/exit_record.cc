#include "launcher/exit_record.h"

#include <sys/wait.h>

#include "launcher/tlv.h"

namespace boxkeeper::launcher {
namespace {

enum Tag : uint16_t {
  kKind = 1,
  kExecId = 2,
  kBootId = 3,
  kWaitStatus = 4,
  kUserCodeStarted = 5,
  kTimedOut = 6,
  kStopRequested = 7,
  kTreeFenced = 8,
  kLeftoversKilled = 9,
  kAttester = 10,
  kError = 11,
  kStartedUnixNs = 12,
  kStartedBootNs = 13,
  kEndedUnixNs = 14,
  kEndedBootNs = 15,
  kStdoutBytes = 16,
  kStderrBytes = 17,
  kStdoutDroppedBytes = 18,
  kStderrDroppedBytes = 19,
  kPeakRssBytes = 20,
  kCpuUserUs = 21,
  kCpuSystemUs = 22,
  kOomKilled = 23,
  kSandboxId = 24,
  kOutputsCollected = 25,
  kOutputFiles = 26,
  kOutputBytes = 27,
  kOutputsSkipped = 28,
  kOutputsNote = 29,
};

EndKind ToEndKind(uint64_t number) {
  return number <= static_cast<uint64_t>(EndKind::kNeverStarted) ? static_cast<EndKind>(number)
                                                                 : EndKind::kUnknown;
}

UserCodeStarted ToUserCodeStarted(uint64_t number) {
  return number <= static_cast<uint64_t>(UserCodeStarted::kYes)
             ? static_cast<UserCodeStarted>(number)
             : UserCodeStarted::kUnknown;
}

void Assign(const Tlv& field, ExitRecord* record) {
  switch (field.tag) {
    case kKind:
      record->kind = ToEndKind(field.Number());
      break;
    case kExecId:
      record->exec_id = field.String();
      break;
    case kBootId:
      record->boot_id = field.String();
      break;
    case kWaitStatus:
      record->wait_status = static_cast<int32_t>(field.Number());
      break;
    case kUserCodeStarted:
      record->user_code_started = ToUserCodeStarted(field.Number());
      break;
    case kTimedOut:
      record->timed_out = field.Number() != 0;
      break;
    case kStopRequested:
      record->stop_requested = field.Number() != 0;
      break;
    case kTreeFenced:
      record->tree_fenced = field.Number() != 0;
      break;
    case kLeftoversKilled:
      record->leftovers_killed = field.Number() != 0;
      break;
    case kAttester:
      record->attester = field.String();
      break;
    case kError:
      record->error = field.String();
      break;
    case kStartedUnixNs:
      record->started_unix_ns = field.Number();
      break;
    case kStartedBootNs:
      record->started_boot_ns = field.Number();
      break;
    case kEndedUnixNs:
      record->ended_unix_ns = field.Number();
      break;
    case kEndedBootNs:
      record->ended_boot_ns = field.Number();
      break;
    case kStdoutBytes:
      record->stdout_bytes = field.Number();
      break;
    case kStderrBytes:
      record->stderr_bytes = field.Number();
      break;
    case kStdoutDroppedBytes:
      record->stdout_dropped_bytes = field.Number();
      break;
    case kStderrDroppedBytes:
      record->stderr_dropped_bytes = field.Number();
      break;
    case kPeakRssBytes:
      record->peak_rss_bytes = field.Number();
      break;
    case kCpuUserUs:
      record->cpu_user_us = field.Number();
      break;
    case kCpuSystemUs:
      record->cpu_system_us = field.Number();
      break;
    case kOomKilled:
      record->oom_killed = field.Number() != 0;
      break;
    case kSandboxId:
      record->sandbox_id = field.String();
      break;
    case kOutputsCollected:
      record->outputs_collected = field.Number() != 0;
      break;
    case kOutputFiles:
      record->output_files = field.Number();
      break;
    case kOutputBytes:
      record->output_bytes = field.Number();
      break;
    case kOutputsSkipped:
      record->outputs_skipped = field.Number();
      break;
    case kOutputsNote:
      record->outputs_note = field.String();
      break;
    default:
      break;
  }
}

}  // namespace

std::optional<int> ExitRecord::ExitCode() const {
  if (kind != EndKind::kExited || !WIFEXITED(wait_status)) return std::nullopt;
  return WEXITSTATUS(wait_status);
}

std::optional<int> ExitRecord::Signal() const {
  if (kind != EndKind::kExited || !WIFSIGNALED(wait_status)) return std::nullopt;
  return WTERMSIG(wait_status);
}

std::string EncodeExitRecord(const ExitRecord& record) {
  TlvWriter out;
  out.Number(kKind, static_cast<uint64_t>(record.kind));
  out.Bytes(kExecId, record.exec_id);
  out.Bytes(kBootId, record.boot_id);
  out.Number(kWaitStatus, static_cast<uint32_t>(record.wait_status));
  out.Number(kUserCodeStarted, static_cast<uint64_t>(record.user_code_started));
  out.Number(kTimedOut, record.timed_out);
  out.Number(kStopRequested, record.stop_requested);
  out.Number(kTreeFenced, record.tree_fenced);
  out.Number(kLeftoversKilled, record.leftovers_killed);
  out.Bytes(kAttester, record.attester);
  out.Bytes(kError, record.error);
  out.Number(kStartedUnixNs, record.started_unix_ns);
  out.Number(kStartedBootNs, record.started_boot_ns);
  out.Number(kEndedUnixNs, record.ended_unix_ns);
  out.Number(kEndedBootNs, record.ended_boot_ns);
  out.Number(kStdoutBytes, record.stdout_bytes);
  out.Number(kStderrBytes, record.stderr_bytes);
  out.Number(kStdoutDroppedBytes, record.stdout_dropped_bytes);
  out.Number(kStderrDroppedBytes, record.stderr_dropped_bytes);
  out.Number(kPeakRssBytes, record.peak_rss_bytes);
  out.Number(kCpuUserUs, record.cpu_user_us);
  out.Number(kCpuSystemUs, record.cpu_system_us);
  out.Number(kOomKilled, record.oom_killed);
  out.Bytes(kSandboxId, record.sandbox_id);
  out.Number(kOutputsCollected, record.outputs_collected);
  out.Number(kOutputFiles, record.output_files);
  out.Number(kOutputBytes, record.output_bytes);
  out.Number(kOutputsSkipped, record.outputs_skipped);
  if (!record.outputs_note.empty()) out.Bytes(kOutputsNote, record.outputs_note);
  return out.Take();
}

bool DecodeExitRecord(std::string_view bytes, ExitRecord* record) {
  *record = {};
  TlvReader reader(bytes);
  Tlv field;
  while (reader.Next(&field)) Assign(field, record);
  return reader.ok();
}

}  // namespace boxkeeper::launcher
