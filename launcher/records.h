// The files of a sandbox directory, `<state_dir>/launch/sandboxes/<id>/`:
//
//   boot     BootRecord, by the launcher at Create: names this very instance
//   started  StartedRecord, by the launcher before it forks the supervisor: from here on user code
//            may run
//   pid      PidRecord, by the supervisor once exec has succeeded
//   exit     ExitRecord, by the supervisor (by the launcher for one that cannot): the truth about
//            the end, written once
//
// Each is a frame of magic "BKLR", kind u16, version u16, length u32 of the payload, CRC32C u32 of
// the 12 bytes before and the payload, then the payload (TLV). Written beside and renamed. Bytes
// after the payload are ignored. Why none is synced before it is told:
// docs/adr/0003-boxlaunch-records.md.
#pragma once

#include <cstdint>
#include <string>

#include "base/core/file_io.h"
#include "launcher/exit_record.h"

namespace boxkeeper::launcher {

struct BootRecord {
  std::string id;
  std::string name;
  std::string labels;
  std::string boot_id;
  uint64_t created_unix_ns = 0;
};

struct StartedRecord {
  std::string exec_id;
  std::string boot_id;
  uint64_t unix_ns = 0;
};

struct PidRecord {
  uint32_t supervisor_pid = 0;
  uint64_t supervisor_start_ticks = 0;
  uint32_t command_pid = 0;
  uint64_t command_start_ticks = 0;  // 0 = it had ended before it could be read
  uint64_t started_unix_ns = 0;
  uint64_t started_boot_ns = 0;
  std::string isolation;  // achieved and applied: see SandboxInfo
  std::string limits;
};

std::string EncodeRecord(const BootRecord& record);
std::string EncodeRecord(const StartedRecord& record);
std::string EncodeRecord(const PidRecord& record);
std::string EncodeRecord(const ExitRecord& record);
// False when the bytes are damaged, torn, of another kind or of a newer layout.
bool DecodeRecord(std::string_view bytes, BootRecord* record);
bool DecodeRecord(std::string_view bytes, StartedRecord* record);
bool DecodeRecord(std::string_view bytes, PidRecord* record);
bool DecodeRecord(std::string_view bytes, ExitRecord* record);

inline constexpr char kBootFile[] = "boot";
inline constexpr char kStartedFile[] = "started";
inline constexpr char kPidFile[] = "pid";
inline constexpr char kExitFile[] = "exit";
inline constexpr char kWorkDirectory[] = "work";
inline constexpr char kScriptFile[] = "script";  // the body of a script command
inline constexpr size_t kRecordBytesMax = 16 * 1024;

enum class ReadResult { kRead, kAbsent, kDamaged };

// Reads and decodes a record below `directory`. An I/O error counts as damage.
template <typename Record>
ReadResult ReadRecord(int directory, const char* name, Record* record) {
  std::string bytes;
  const int error = base::ReadFileAt(directory, name, kRecordBytesMax, &bytes);
  if (error != 0) return error == ENOENT ? ReadResult::kAbsent : ReadResult::kDamaged;
  return DecodeRecord(bytes, record) ? ReadResult::kRead : ReadResult::kDamaged;
}

// Writes `<name>.new` and renames it, as base::ReplaceFileAt, but keeps the length of a
// `<name>.new` that a recycled directory has: no block is freed or allocated, and a sync writes no
// metadata.
int WriteRecordBytes(int directory, const std::string& name, std::string_view bytes,
                     base::Durability durability);

// Writes a record below `directory`; 0 or an errno value.
template <typename Record>
int WriteRecord(int directory, const char* name, const Record& record,
                base::Durability durability) {
  return WriteRecordBytes(directory, name, EncodeRecord(record), durability);
}

}  // namespace boxkeeper::launcher
