#include "logs/pulled_spool.h"

#include <fcntl.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/core/unique_fd.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "logs/spool_reader.h"

namespace boxkeeper::logs {
namespace {

constexpr size_t kIndexRecordsPerRead = 4096;
constexpr uint64_t kStepMin = 4096;
constexpr uint32_t kFolderMode = 0700;
constexpr uint32_t kFileMode = 0600;

base::SpoolStream IndexName(Stream stream) {
  return stream == Stream::kStdout ? base::SpoolStream::kStdout : base::SpoolStream::kStderr;
}

Stream StreamOf(base::SpoolStream stream) {
  return stream == base::SpoolStream::kStdout ? Stream::kStdout : Stream::kStderr;
}

// Gives the room back. Past base::FileSystem: where it cannot be done, the bytes stay and count as
// dropped all the same.
void Punch(const std::string& path, uint64_t from, uint64_t to) {
  const base::UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid()) return;
  fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from),
            static_cast<off_t>(to - from));
}

}  // namespace

PulledSpool::PulledSpool(base::FileSystem& files, SpoolFiles paths, SpoolLimit limit)
    : files_(files), paths_(std::move(paths)), limit_(limit) {}

absl::Status PulledSpool::Load() {
  if (loaded_) return absl::OkStatus();
  std::array<State, 2> found;
  RETURN_IF_ERROR(ReadIndex(found));
  SpoolReader reader(files_, paths_, nullptr);
  for (const Stream stream : {Stream::kStdout, Stream::kStderr}) {
    State& state = found[static_cast<size_t>(stream)];
    ASSIGN_OR_RETURN(const uint64_t size, reader.Size(stream));
    ASSIGN_OR_RETURN(state.hole, reader.ReadHole(stream));
    state.length = std::min(state.length, size);
    // What is announced as dropped will not be fetched again.
    if (state.hole.from <= state.length) state.length = std::max(state.length, state.hole.to);
  }
  streams_ = found;
  loaded_ = true;
  return absl::OkStatus();
}

absl::Status PulledSpool::ReadIndex(std::array<State, 2>& found) {
  SpoolReader reader(files_, paths_, nullptr);
  uint64_t records = 0;
  for (;;) {
    ASSIGN_OR_RETURN(const std::string bytes, reader.ReadIndex(records, kIndexRecordsPerRead));
    std::string_view rest = bytes;
    while (const auto record = base::ParseIndexRecord(rest)) {
      uint64_t& length = found[static_cast<size_t>(StreamOf(record->stream))].length;
      if (record->offset <= length) length = std::max(length, record->offset + record->length);
      rest.remove_prefix(base::kIndexRecordBytes);
      ++records;
    }
    index_end_ = records * base::kIndexRecordBytes;
    if (!rest.empty() || bytes.empty()) return absl::OkStatus();
  }
}

uint64_t PulledSpool::dropped_bytes() const {
  uint64_t dropped = 0;
  for (const State& state : streams_) {
    dropped += std::min(state.hole.to, state.length) - std::min(state.hole.from, state.length);
  }
  return dropped;
}

uint64_t PulledSpool::StoredBytes() const {
  return streams_[0].length + streams_[1].length - dropped_bytes();
}

size_t PulledSpool::step(size_t wanted) const {
  if (limit_.bytes_max == 0) return wanted;
  return std::min<uint64_t>(wanted, std::max(limit_.bytes_max / 4, kStepMin));
}

bool PulledSpool::full() const {
  return limit_.block && limit_.bytes_max != 0 && StoredBytes() >= limit_.bytes_max;
}

absl::Status PulledSpool::Append(Stream stream, std::string_view data, int64_t arrival_unix_ms) {
  RETURN_IF_ERROR(MakeRoom());
  RETURN_IF_ERROR(CheckDisk());
  State& state = of(stream);
  ASSIGN_OR_RETURN(const auto file, OpenOrMake(paths_.path(stream)));
  RETURN_IF_ERROR(file->WriteAt(state.length, data));
  base::Failpoint("pull.after_write");
  if (!base::Mutated("spool_not_synced")) RETURN_IF_ERROR(SyncBytes(*file, state.length));
  base::Failpoint("pull.after_sync");
  RETURN_IF_ERROR(AddToIndex({.stream = IndexName(stream),
                              .length = static_cast<uint32_t>(data.size()),
                              .offset = state.length,
                              .arrival_unix_ms = static_cast<uint64_t>(arrival_unix_ms)}));
  base::Failpoint("pull.after_index");
  state.length += data.size();
  return absl::OkStatus();
}

// After a failed sync the kernel takes the pages for clean, and syncing again would succeed without
// a byte on the disk. So the stream does not grow: its bytes are fetched and written once more.
absl::Status PulledSpool::SyncBytes(base::File& file, uint64_t length) {
  const absl::Status synced = file.Sync();
  if (synced.ok()) return synced;
  if (base::Mutated("failed_sync_ignored")) return absl::OkStatus();
  // Not to be taken for output until then. If the disk refuses this too, they are the right bytes.
  base::LogIfError(file.Truncate(length), "what was not synced stays behind the spool's end");
  return synced;
}

absl::Status PulledSpool::AddToIndex(const base::IndexRecord& record) {
  ASSIGN_OR_RETURN(const auto index, OpenOrMake(paths_.index_path()));
  if (!index_cut_) {
    ASSIGN_OR_RETURN(const uint64_t size, index->Size());
    if (size > index_end_) RETURN_IF_ERROR(index->Truncate(index_end_));
    index_cut_ = true;
  }
  std::string bytes;
  base::AppendIndexRecord(bytes, record);
  RETURN_IF_ERROR(index->WriteAt(index_end_, bytes));
  index_end_ += bytes.size();
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<base::File>> PulledSpool::OpenOrMake(const std::string& path) {
  const base::OpenOptions options{.write = true, .create = true, .mode = kFileMode};
  auto file = files_.Open(path, options);
  if (!absl::IsNotFound(file.status())) return file;
  RETURN_IF_ERROR(files_.MakeDirectories(base::ParentDirectory(path), kFolderMode));
  return files_.Open(path, options);
}

// As launcher/spool.cc does: each stream keeps its first and last quarter; both together are then
// at most the limit, and one that is shorter than both quarters loses nothing.
absl::Status PulledSpool::MakeRoom() {
  if (limit_.bytes_max == 0 || StoredBytes() < limit_.bytes_max) return absl::OkStatus();
  if (limit_.block) return absl::ResourceExhaustedError("the log limit is reached");
  const uint64_t quarter = limit_.bytes_max / 4;
  for (const Stream stream : {Stream::kStdout, Stream::kStderr}) {
    const State& state = of(stream);
    if (state.length - (state.hole.to - state.hole.from) <= 2 * quarter) continue;
    const uint64_t from = state.hole.empty() ? quarter : state.hole.from;
    const uint64_t punched = state.hole.empty() ? quarter : state.hole.to;
    RETURN_IF_ERROR(Announce(stream, {from, state.length - quarter}));
    Punch(paths_.path(stream), punched, state.hole.to);
  }
  return absl::OkStatus();
}

absl::Status PulledSpool::Announce(Stream stream, Hole hole) {
  const std::string path = absl::StrCat(paths_.path(stream), std::string(base::kDropSuffix));
  const std::string record = base::EncodeDropRecord({hole.from, hole.to});
  RETURN_IF_ERROR(base::WriteFileAtomically(files_, path, record, kFileMode));
  of(stream).hole = hole;
  return absl::OkStatus();
}

absl::Status PulledSpool::CheckDisk() const {
  const std::string folder = base::ParentDirectory(base::ParentDirectory(paths_.index_path()));
  // The sandbox keeps what is not fetched: here waiting costs nothing, so nothing is dropped.
  const auto spool_full = files_.Exists(absl::StrCat(folder, "/", base::kSpoolFullName));
  if (spool_full.ok() && *spool_full) return absl::ResourceExhaustedError("the spool is full");
  const auto free = files_.FreeBytes(folder);
  if (!free.ok() || *free >= kSpareBytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(folder, ": the disk is full"));
}

absl::Status PulledSpool::GiveUp(Stream stream, uint64_t size) {
  State& state = of(stream);
  if (size <= state.length) return absl::OkStatus();
  const uint64_t from = state.hole.empty() ? state.length : state.hole.from;
  ASSIGN_OR_RETURN(const auto file, OpenOrMake(paths_.path(stream)));
  RETURN_IF_ERROR(Announce(stream, {from, size}));
  RETURN_IF_ERROR(file->Truncate(size));
  state.length = size;
  return absl::OkStatus();
}

absl::Status PulledSpool::Sync() {
  if (streams_[0].length + streams_[1].length == 0) return absl::OkStatus();
  if (base::Mutated("spool_not_synced")) return absl::OkStatus();
  // The streams' bytes were synced as they came.
  if (in_doubt_) RETURN_IF_ERROR(RewriteIndex());
  in_doubt_ = true;
  RETURN_IF_ERROR(SpoolReader(files_, paths_, nullptr).Sync());
  const std::string folder = base::ParentDirectory(paths_.index_path());
  RETURN_IF_ERROR(files_.SyncDir(folder));
  RETURN_IF_ERROR(files_.SyncDir(base::ParentDirectory(folder)));
  in_doubt_ = false;
  return absl::OkStatus();
}

absl::Status PulledSpool::RewriteIndex() {
  auto index = files_.Open(paths_.index_path(), {});
  if (absl::IsNotFound(index.status())) return absl::OkStatus();
  RETURN_IF_ERROR(index.status());
  ASSIGN_OR_RETURN(const std::string records, (*index)->ReadAt(0, index_end_));
  return base::WriteFileAtomically(files_, paths_.index_path(), records, kFileMode);
}

}  // namespace boxkeeper::logs
