#include "logs/piece_map.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/core/bytes.h"
#include "base/status_macros.h"

namespace boxkeeper::logs {
namespace {

constexpr uint64_t kRecordBytes = 16;
constexpr size_t kRecordsPerRead = 4096;

using Ends = std::array<uint64_t, 2>;

std::string MapPath(const SpoolFiles& spool) {
  return base::ParentDirectory(spool.index_path()) + "/pieces";
}

Ends EndsAt(std::string_view bytes, size_t at) {
  return {base::LittleAt<uint64_t>(bytes, at), base::LittleAt<uint64_t>(bytes, at + 8)};
}

// Where piece `piece` - 1 ends.
absl::StatusOr<Ends> BeginOf(base::File& file, uint64_t piece) {
  if (piece == 0) return Ends{};
  ASSIGN_OR_RETURN(const std::string bytes, file.ReadAt((piece - 1) * kRecordBytes, kRecordBytes));
  if (bytes.size() < kRecordBytes) return absl::DataLossError("the map of pieces is too short");
  return EndsAt(bytes, 0);
}

}  // namespace

absl::Status NotePiece(base::FileSystem& files, const SpoolFiles& spool, int64_t piece, Ends ends,
                       bool create) {
  ASSIGN_OR_RETURN(const auto file,
                   files.Open(MapPath(spool), {.write = true, .create = create, .mode = 0600}));
  std::string record;
  for (const uint64_t end : ends) base::AppendLittle(record, end);
  return file->WriteAt(static_cast<uint64_t>(piece) * kRecordBytes, record);
}

absl::Status SyncPieceMap(base::FileSystem& files, const SpoolFiles& spool, int64_t pieces) {
  ASSIGN_OR_RETURN(const auto file, files.Open(MapPath(spool), {.write = true}));
  Ends before{};
  for (uint64_t at = 0; at < static_cast<uint64_t>(pieces);) {
    ASSIGN_OR_RETURN(const std::string bytes,
                     file->ReadAt(at * kRecordBytes, kRecordsPerRead * kRecordBytes));
    const size_t records = bytes.size() / kRecordBytes;
    for (size_t i = 0; i < records && at < static_cast<uint64_t>(pieces); ++i, ++at) {
      const Ends ends = EndsAt(bytes, i * kRecordBytes);
      // Every piece has something, so what was never written shows.
      const bool grows =
          ends[0] >= before[0] && ends[1] >= before[1] && ends[0] + ends[1] > before[0] + before[1];
      if (!grows)
        return absl::FailedPreconditionError(absl::StrCat("piece ", at, " is not mapped"));
      before = ends;
    }
    if (records == 0)
      return absl::FailedPreconditionError(absl::StrCat("no piece ", at, " mapped"));
  }
  RETURN_IF_ERROR(file->Sync());
  return files.SyncDir(base::ParentDirectory(MapPath(spool)));
}

absl::StatusOr<PieceRange> FindPiece(base::FileSystem& files, const SpoolFiles& spool,
                                     Stream stream, uint64_t offset) {
  ASSIGN_OR_RETURN(const auto file, files.Open(MapPath(spool), {}));
  ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  const auto s = static_cast<size_t>(stream);
  // The first piece that ends behind `offset`.
  uint64_t low = 0;
  uint64_t high = size / kRecordBytes;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    ASSIGN_OR_RETURN(const Ends ends, BeginOf(*file, middle + 1));
    (ends[s] > offset ? high : low) = ends[s] > offset ? middle : middle + 1;
  }
  if (low == size / kRecordBytes) {
    return absl::DataLossError(
        absl::StrCat("no piece has ", std::string(StreamName(stream)), " at ", offset));
  }
  PieceRange range{.piece = static_cast<int64_t>(low), .from = {}, .to = {}};
  ASSIGN_OR_RETURN(range.from, BeginOf(*file, low));
  ASSIGN_OR_RETURN(range.to, BeginOf(*file, low + 1));
  return range;
}

}  // namespace boxkeeper::logs
