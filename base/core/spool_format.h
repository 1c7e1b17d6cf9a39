// The files beside a task's spooled output. The supervisor of a local sandbox writes them, logs/
// reads them.
//
//   <stdout>, <stderr>   byte i of the file is byte i of the stream; the length is the ingest
//   offset <index>              IndexRecord after IndexRecord, 24 bytes each, in order of arrival:
//   one per
//                        read from the command's pipe. Written after the bytes that it describes,
//                        so after a crash it may be shorter than the data, never longer; a torn
//                        last record is to be ignored.
//   <stdout>.drop,       DropRecord, 40 bytes, present once a limit has cost bytes of that stream:
//   <stderr>.drop        [from, to) of the stream is gone (a hole of zeros). Synced and renamed
//                        into place before the hole is punched; `to` only grows, `from` stays.
//                        A reader reads data first and the drop record after it, and discards
//                        what lies in the hole.
//   <stdout>.freed,      FreedRecord, 24 bytes, present once the daemon has given back what the log
//   <stderr>.freed       store has: [0, to) of the stream is to be read there. Nothing was dropped.
//                        Synced and renamed into place before the file is punched, so a reader does
//                        as with the drop record; `to` only grows. Some bytes before `to` may stay.
//   waiting              there while the supervisor does not read because the task's limit is
//                        reached or the disk is full (OverflowPolicy::kBlock): asks the daemon to
//                        give back what it can.
//
// Above the tasks' folders, in the spool directory itself:
//
//   .full                there while the spool directory holds more than it may: whoever writes
//                        stops reading, or keeps what it has within bounds, by its overflow policy.
//
// All integers are little-endian.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace boxkeeper::base {

enum class SpoolStream : uint8_t { kStdout = 1, kStderr = 2 };

// Layout: stream u8, zero u8[3], length u32, offset u64, arrival_unix_ms u64.
struct IndexRecord {
  SpoolStream stream = SpoolStream::kStdout;
  uint32_t length = 0;
  uint64_t offset = 0;
  uint64_t arrival_unix_ms = 0;

  friend bool operator==(const IndexRecord&, const IndexRecord&) = default;
};
inline constexpr size_t kIndexRecordBytes = 24;

void AppendIndexRecord(std::string& out, const IndexRecord& record);
// The record in the first kIndexRecordBytes of `bytes`; nothing when it is short or names no
// stream.
std::optional<IndexRecord> ParseIndexRecord(std::string_view bytes);

// Layout: magic "BKDROP1\0", from u64, to u64, zero u64, crc32c u32 of all before, zero u32.
struct DropRecord {
  uint64_t from = 0;
  uint64_t to = 0;

  friend bool operator==(const DropRecord&, const DropRecord&) = default;
};
inline constexpr size_t kDropRecordBytes = 40;
inline constexpr std::string_view kDropSuffix = ".drop";
inline constexpr char kSpoolFullName[] = ".full";
inline constexpr char kSpoolWaitingName[] = "waiting";

std::string EncodeDropRecord(const DropRecord& record);
// Nothing when `bytes` is damaged.
std::optional<DropRecord> ParseDropRecord(std::string_view bytes);

// Layout: magic "BKFREE1\0", to u64, crc32c u32 of all before, zero u32. [0, to) is freed.
inline constexpr size_t kFreedRecordBytes = 24;
inline constexpr std::string_view kFreedSuffix = ".freed";

std::string EncodeFreedRecord(uint64_t to);
// Nothing when `bytes` is damaged.
std::optional<uint64_t> ParseFreedRecord(std::string_view bytes);

}  // namespace boxkeeper::base
