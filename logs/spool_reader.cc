#include "logs/spool_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/core/spool_format.h"
#include "base/status_macros.h"

namespace boxkeeper::logs {

SpoolReader::SpoolReader(base::FileSystem& files, SpoolFiles spool,
                         std::shared_ptr<const Redactor> redactor)
    : files_(files), spool_(std::move(spool)), redactor_(std::move(redactor)) {
  if (redactor_ && redactor_->empty()) redactor_ = nullptr;
}

absl::StatusOr<uint64_t> SpoolReader::Size(Stream stream) { return SizeOf(spool_.path(stream)); }

absl::StatusOr<uint64_t> SpoolReader::IndexBytes() { return SizeOf(spool_.index_path()); }

absl::StatusOr<uint64_t> SpoolReader::SizeOf(const std::string& path) {
  auto file = files_.Open(path, {});
  if (absl::IsNotFound(file.status())) return uint64_t{0};
  RETURN_IF_ERROR(file.status());
  return (*file)->Size();
}

absl::StatusOr<Hole> SpoolReader::ReadHole(Stream stream) {
  const std::string path = absl::StrCat(spool_.path(stream), std::string(base::kDropSuffix));
  auto file = files_.Open(path, {});
  if (absl::IsNotFound(file.status())) return Hole{};
  RETURN_IF_ERROR(file.status());
  ASSIGN_OR_RETURN(const std::string bytes, (*file)->ReadAt(0, base::kDropRecordBytes + 1));
  const auto record = base::ParseDropRecord(bytes);
  if (!record) return absl::DataLossError(absl::StrCat(path, ": damaged drop record"));
  return Hole{record->from, record->to};
}

absl::StatusOr<uint64_t> SpoolReader::ReadFreed(Stream stream) {
  const std::string path = absl::StrCat(spool_.path(stream), std::string(base::kFreedSuffix));
  auto file = files_.Open(path, {});
  if (absl::IsNotFound(file.status())) return uint64_t{0};
  RETURN_IF_ERROR(file.status());
  ASSIGN_OR_RETURN(const std::string bytes, (*file)->ReadAt(0, base::kFreedRecordBytes + 1));
  const auto to = base::ParseFreedRecord(bytes);
  if (!to) return absl::DataLossError(absl::StrCat(path, ": damaged record of what was freed"));
  return *to;
}

absl::StatusOr<std::string> SpoolReader::ReadIndex(uint64_t first, size_t max_records) {
  auto file = files_.Open(spool_.index_path(), {});
  if (absl::IsNotFound(file.status())) return std::string();
  RETURN_IF_ERROR(file.status());
  ASSIGN_OR_RETURN(std::string bytes, (*file)->ReadAt(first * base::kIndexRecordBytes,
                                                      max_records * base::kIndexRecordBytes));
  bytes.resize(bytes.size() - bytes.size() % base::kIndexRecordBytes);
  return bytes;
}

absl::Status SpoolReader::Sync() {
  for (const std::string& path :
       {spool_.stdout_path(), spool_.stderr_path(), spool_.index_path()}) {
    auto file = files_.Open(path, {});
    if (absl::IsNotFound(file.status())) continue;
    RETURN_IF_ERROR(file.status());
    RETURN_IF_ERROR((*file)->Sync());
  }
  return absl::OkStatus();
}

absl::StatusOr<SpoolReader::Raw> SpoolReader::ReadRaw(Stream stream, uint64_t offset,
                                                      size_t max_bytes) {
  Raw raw;
  auto file = files_.Open(spool_.path(stream), {});
  if (absl::IsNotFound(file.status())) {
    raw.short_read = max_bytes > 0;
    return raw;
  }
  RETURN_IF_ERROR(file.status());
  ASSIGN_OR_RETURN(raw.data, (*file)->ReadAt(offset, max_bytes));
  raw.short_read = raw.data.size() < max_bytes;
  ASSIGN_OR_RETURN(raw.file_size, (*file)->Size());
  ASSIGN_OR_RETURN(raw.hole, ReadHole(stream));
  ASSIGN_OR_RETURN(raw.freed_to, ReadFreed(stream));
  return raw;
}

absl::StatusOr<SpoolSlice> SpoolReader::ReadAt(Stream stream, uint64_t offset, size_t max_bytes,
                                               std::optional<uint64_t> final_size) {
  if (final_size) {
    const uint64_t left = *final_size > offset ? *final_size - offset : 0;
    max_bytes = std::min<uint64_t>(max_bytes, left);
  }
  // The window: what is asked for with enough around it to see every value that touches it.
  const size_t context = redactor_ ? redactor_->context() : 0;
  uint64_t begin = offset - std::min<uint64_t>(offset, context);
  ASSIGN_OR_RETURN(Raw raw, ReadRaw(stream, begin, offset - begin + max_bytes + context));
  if (!raw.hole.empty() && begin < raw.hole.to && raw.hole.from < offset && raw.hole.to <= offset) {
    // The hole lies between the window's begin and the offset.
    begin = raw.hole.to;
    ASSIGN_OR_RETURN(raw, ReadRaw(stream, begin, offset - begin + max_bytes + context));
  }
  SpoolSlice slice{.freed_to = raw.freed_to, .hole = raw.hole, .file_size = raw.file_size};
  slice.freed = offset < raw.freed_to;
  if (slice.freed) return slice;
  slice.in_hole = raw.hole.from <= offset && offset < raw.hole.to;
  if (slice.in_hole) return slice;
  if (offset < raw.hole.from && begin + raw.data.size() > raw.hole.from) {
    raw.data.resize(raw.hole.from - begin);
    raw.short_read = false;
  }
  const size_t lead = offset - begin;
  size_t usable = raw.data.size();
  if (redactor_) {
    if (raw.short_read && !final_size) usable -= redactor_->PendingSuffix(raw.data);
    slice.redacted = redactor_->Redact(raw.data);
  }
  usable = std::min(usable, lead + max_bytes);
  if (lead == 0) {
    raw.data.resize(usable);
    slice.data = std::move(raw.data);
  } else if (usable > lead) {
    slice.data = raw.data.substr(lead, usable - lead);
  }
  return slice;
}

}  // namespace boxkeeper::logs
