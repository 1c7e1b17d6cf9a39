#include "launcher/records.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>

#include "base/core/bytes.h"
#include "base/core/crc32c.h"
#include "base/core/unique_fd.h"
#include "launcher/tlv.h"

namespace boxkeeper::launcher {
namespace {

constexpr std::string_view kMagic = "BKLR";
constexpr size_t kHeaderBytes = 16;
constexpr size_t kCrcOffset = 12;
constexpr uint16_t kRecordVersion = 1;

enum Kind : uint16_t { kBoot = 1, kStarted = 2, kPid = 3, kExit = 4 };

std::string Wrap(Kind kind, std::string_view payload) {
  std::string out(kMagic);
  base::AppendLittle(out, static_cast<uint16_t>(kind));
  base::AppendLittle(out, kRecordVersion);
  base::AppendLittle(out, static_cast<uint32_t>(payload.size()));
  base::AppendLittle(out, base::Crc32c(payload, base::Crc32c(out)));
  out += payload;
  return out;
}

bool Unwrap(Kind kind, std::string_view bytes, std::string_view* payload) {
  if (bytes.size() < kHeaderBytes || !bytes.starts_with(kMagic)) return false;
  if (base::LittleAt<uint16_t>(bytes, 4) != kind) return false;
  if (base::LittleAt<uint16_t>(bytes, 6) != kRecordVersion) return false;
  const auto length = base::LittleAt<uint32_t>(bytes, 8);
  if (length > bytes.size() - kHeaderBytes) return false;
  *payload = bytes.substr(kHeaderBytes, length);
  const uint32_t crc = base::Crc32c(*payload, base::Crc32c(bytes.substr(0, kCrcOffset)));
  return base::LittleAt<uint32_t>(bytes, kCrcOffset) == crc;
}

}  // namespace

int WriteRecordBytes(int directory, const std::string& name, std::string_view bytes,
                     base::Durability durability) {
  const std::string beside = name + ".new";
  const base::UniqueFd fd(
      openat(directory, beside.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid()) return errno;
  if (const int error = base::WriteAll(fd.get(), bytes); error != 0) return error;
  if (durability == base::Durability::kPowerLoss && fdatasync(fd.get()) != 0) return errno;
  return renameat(directory, beside.c_str(), directory, name.c_str()) == 0 ? 0 : errno;
}

std::string EncodeRecord(const BootRecord& record) {
  TlvWriter out;
  out.Bytes(1, record.id);
  out.Bytes(2, record.name);
  out.Bytes(3, record.labels);
  out.Bytes(4, record.boot_id);
  out.Number(5, record.created_unix_ns);
  return Wrap(kBoot, out.Take());
}

bool DecodeRecord(std::string_view bytes, BootRecord* record) {
  std::string_view payload;
  if (!Unwrap(kBoot, bytes, &payload)) return false;
  *record = {};
  TlvReader reader(payload);
  Tlv field;
  while (reader.Next(&field)) {
    if (field.tag == 1) record->id = field.String();
    if (field.tag == 2) record->name = field.String();
    if (field.tag == 3) record->labels = field.String();
    if (field.tag == 4) record->boot_id = field.String();
    if (field.tag == 5) record->created_unix_ns = field.Number();
  }
  return reader.ok();
}

std::string EncodeRecord(const StartedRecord& record) {
  TlvWriter out;
  out.Bytes(1, record.exec_id);
  out.Bytes(2, record.boot_id);
  out.Number(3, record.unix_ns);
  return Wrap(kStarted, out.Take());
}

bool DecodeRecord(std::string_view bytes, StartedRecord* record) {
  std::string_view payload;
  if (!Unwrap(kStarted, bytes, &payload)) return false;
  *record = {};
  TlvReader reader(payload);
  Tlv field;
  while (reader.Next(&field)) {
    if (field.tag == 1) record->exec_id = field.String();
    if (field.tag == 2) record->boot_id = field.String();
    if (field.tag == 3) record->unix_ns = field.Number();
  }
  return reader.ok();
}

std::string EncodeRecord(const PidRecord& record) {
  TlvWriter out;
  out.Number(1, record.supervisor_pid);
  out.Number(2, record.supervisor_start_ticks);
  out.Number(3, record.command_pid);
  out.Number(4, record.command_start_ticks);
  out.Number(5, record.started_unix_ns);
  out.Number(6, record.started_boot_ns);
  out.Bytes(7, record.isolation);
  out.Bytes(8, record.limits);
  return Wrap(kPid, out.Take());
}

bool DecodeRecord(std::string_view bytes, PidRecord* record) {
  std::string_view payload;
  if (!Unwrap(kPid, bytes, &payload)) return false;
  *record = {};
  TlvReader reader(payload);
  Tlv field;
  while (reader.Next(&field)) {
    if (field.tag == 1) record->supervisor_pid = static_cast<uint32_t>(field.Number());
    if (field.tag == 2) record->supervisor_start_ticks = field.Number();
    if (field.tag == 3) record->command_pid = static_cast<uint32_t>(field.Number());
    if (field.tag == 4) record->command_start_ticks = field.Number();
    if (field.tag == 5) record->started_unix_ns = field.Number();
    if (field.tag == 6) record->started_boot_ns = field.Number();
    if (field.tag == 7) record->isolation = field.String();
    if (field.tag == 8) record->limits = field.String();
  }
  return reader.ok();
}

std::string EncodeRecord(const ExitRecord& record) { return Wrap(kExit, EncodeExitRecord(record)); }

bool DecodeRecord(std::string_view bytes, ExitRecord* record) {
  std::string_view payload;
  return Unwrap(kExit, bytes, &payload) && DecodeExitRecord(payload, record);
}

}  // namespace boxkeeper::launcher
