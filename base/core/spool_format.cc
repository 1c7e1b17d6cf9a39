#include "base/core/spool_format.h"

#include "base/core/bytes.h"
#include "base/core/crc32c.h"

namespace boxkeeper::base {
namespace {

constexpr std::string_view kDropMagic("BKDROP1\0", 8);
constexpr size_t kDropCrcOffset = 32;
constexpr std::string_view kFreedMagic("BKFREE1\0", 8);
constexpr size_t kFreedCrcOffset = 16;

}  // namespace

void AppendIndexRecord(std::string& out, const IndexRecord& record) {
  AppendLittle<uint32_t>(out, static_cast<uint8_t>(record.stream));
  AppendLittle(out, record.length);
  AppendLittle(out, record.offset);
  AppendLittle(out, record.arrival_unix_ms);
}

std::optional<IndexRecord> ParseIndexRecord(std::string_view bytes) {
  if (bytes.size() < kIndexRecordBytes) return std::nullopt;
  const auto stream = LittleAt<uint8_t>(bytes, 0);
  if (stream != 1 && stream != 2) return std::nullopt;
  return IndexRecord{.stream = static_cast<SpoolStream>(stream),
                     .length = LittleAt<uint32_t>(bytes, 4),
                     .offset = LittleAt<uint64_t>(bytes, 8),
                     .arrival_unix_ms = LittleAt<uint64_t>(bytes, 16)};
}

std::string EncodeDropRecord(const DropRecord& record) {
  std::string out(kDropMagic);
  AppendLittle(out, record.from);
  AppendLittle(out, record.to);
  AppendLittle<uint64_t>(out, 0);
  AppendLittle(out, Crc32c(out));
  AppendLittle<uint32_t>(out, 0);
  return out;
}

std::optional<DropRecord> ParseDropRecord(std::string_view bytes) {
  if (bytes.size() != kDropRecordBytes || !bytes.starts_with(kDropMagic)) return std::nullopt;
  if (LittleAt<uint32_t>(bytes, kDropCrcOffset) != Crc32c(bytes.substr(0, kDropCrcOffset))) {
    return std::nullopt;
  }
  return DropRecord{.from = LittleAt<uint64_t>(bytes, 8), .to = LittleAt<uint64_t>(bytes, 16)};
}

std::string EncodeFreedRecord(uint64_t to) {
  std::string out(kFreedMagic);
  AppendLittle(out, to);
  AppendLittle(out, Crc32c(out));
  AppendLittle<uint32_t>(out, 0);
  return out;
}

std::optional<uint64_t> ParseFreedRecord(std::string_view bytes) {
  if (bytes.size() != kFreedRecordBytes || !bytes.starts_with(kFreedMagic)) return std::nullopt;
  if (LittleAt<uint32_t>(bytes, kFreedCrcOffset) != Crc32c(bytes.substr(0, kFreedCrcOffset))) {
    return std::nullopt;
  }
  return LittleAt<uint64_t>(bytes, 8);
}

}  // namespace boxkeeper::base
