#include "launcher/spool.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/core/file_io.h"
#include "base/core/proc.h"

namespace boxkeeper::launcher {
namespace {

constexpr size_t kSpliceBytesMax = 1 << 20;
constexpr size_t kReadBytesMax = 64 * 1024;

std::string Describe(const std::string& what, int error) {
  return what + ": " + std::strerror(error);
}

constexpr mode_t kFolderMode = 0700;
constexpr mode_t kFileMode = 0600;

// Bytes of another execution must never pass for this one's.
bool IsAbsentOrEmpty(const std::string& path, std::string* error) {
  struct stat status{};
  if (lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return true;
    *error = Describe("spool file " + path, errno);
    return false;
  }
  if (status.st_size == 0) return true;
  *error = "spool file " + path + ": is not empty";
  return false;
}

// 0, or errno.
int OpenOrMake(const std::string& path, base::UniqueFd* file) {
  if (file->valid()) return 0;
  constexpr int kFlags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
  file->Reset(open(path.c_str(), kFlags, kFileMode));
  if (file->valid() || errno != ENOENT) return file->valid() ? 0 : errno;
  const std::string folder = path.substr(0, path.rfind('/'));
  if (mkdir(folder.c_str(), kFolderMode) != 0 && errno != EEXIST) return errno;
  file->Reset(open(path.c_str(), kFlags, kFileMode));
  return file->valid() ? 0 : errno;
}

// Where the file's data begin: what is before was freed. Not told by st_blocks, which has also what
// a file system allocates ahead (XFS: as much again as the file has). One that knows no holes says
// 0.
uint64_t DataBegin(int fd, uint64_t end) {
  if (fd < 0) return 0;
  const off_t begin = lseek(fd, 0, SEEK_DATA);
  if (begin >= 0) return static_cast<uint64_t>(begin);
  return errno == ENXIO ? end : 0;
}

}  // namespace

bool Spool::Open(const LaunchSpec& spec, std::string* error) {
  bytes_max_ = spec.log_bytes_max;
  overflow_ = spec.overflow;
  streams_[0].path = spec.stdout_path;
  streams_[1].path = spec.stderr_path;
  index_path_ = spec.index_path;
  const std::string folder = index_path_.substr(0, index_path_.rfind('/'));
  full_path_ = folder.substr(0, folder.rfind('/') + 1) + base::kSpoolFullName;
  waiting_path_ = folder + "/" + base::kSpoolWaitingName;
  if (!IsAbsentOrEmpty(index_path_, error)) return false;
  for (Stream& stream : streams_) {
    if (!IsAbsentOrEmpty(stream.path, error)) return false;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
      *error = Describe("pipe", errno);
      return false;
    }
    stream.read_end.Reset(ends[0]);
    stream.write_end.Reset(ends[1]);
    // Only our end: the command's stdout must not be non-blocking.
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
  }
  return true;
}

void Spool::CloseWriteEnds() {
  for (Stream& stream : streams_) stream.write_end.Reset();
}

uint64_t Spool::dropped_bytes(size_t stream) const {
  return streams_[stream].drop.to - streams_[stream].drop.from;
}

uint64_t Spool::WaitingBytes(size_t index) const {
  const Stream& stream = streams_[index];
  int waiting = 0;
  ioctl(stream.read_end.get(), FIONREAD, &waiting);
  return stream.unwritten.size() + static_cast<uint64_t>(waiting);
}

Spool::PumpResult Spool::Pump(size_t index, bool past_limit) {
  stall_reason_.clear();
  needs_room_ = false;
  const PumpResult result = Move(index, past_limit);
  TellWaiting(needs_room_);
  return result;
}

Spool::PumpResult Spool::Move(size_t index, bool past_limit) {
  if (!FlushIndex()) return PumpResult::kStalled;
  if (!MakeRoom() && !past_limit) return PumpResult::kStalled;
  Stream& stream = streams_[index];
  if (!stream.file.valid()) {
    const PumpResult opened = OpenFiles(stream);
    if (opened != PumpResult::kMoved) return opened;
  }
  if (!DiskHasRoom(stream) && !past_limit) return PumpResult::kStalled;
  // With a limit, in steps that keep what overshoots it small.
  const size_t step = bytes_max_ == 0 ? kSpliceBytesMax
                                      : std::clamp<uint64_t>(bytes_max_ / 4, 4096, kSpliceBytesMax);
  size_t moved = 0;
  const PumpResult result = can_splice_ && stream.unwritten.empty()
                                ? Splice(stream, step, &moved)
                                : ReadAndWrite(stream, step, &moved);
  if (moved == 0) return result;
  base::AppendIndexRecord(unwritten_index_, {.stream = static_cast<base::SpoolStream>(index + 1),
                                             .length = static_cast<uint32_t>(moved),
                                             .offset = stream.end,
                                             .arrival_unix_ms = base::UnixNs() / 1'000'000});
  stream.end += moved;
  // A failure is met again, and reported, by the next call.
  FlushIndex();
  return result;
}

Spool::PumpResult Spool::OpenFiles(Stream& stream) {
  pollfd pipe{.fd = stream.read_end.get(), .events = POLLIN, .revents = 0};
  poll(&pipe, 1, 0);
  if ((pipe.revents & POLLIN) == 0) {
    return pipe.revents != 0 ? PumpResult::kEnd : PumpResult::kEmpty;
  }
  int error = OpenOrMake(index_path_, &index_);
  if (error != 0) return Stalled(Describe(index_path_, error));
  error = OpenOrMake(stream.path, &stream.file);
  if (error != 0) return Stalled(Describe(stream.path, error));
  return PumpResult::kMoved;
}

Spool::PumpResult Spool::Splice(Stream& stream, size_t bytes_max, size_t* moved) {
  auto offset = static_cast<off64_t>(stream.end);
  const ssize_t count = splice(stream.read_end.get(), nullptr, stream.file.get(), &offset,
                               bytes_max, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (count > 0) {
    *moved = static_cast<size_t>(count);
    return PumpResult::kMoved;
  }
  if (count == 0) return PumpResult::kEnd;
  if (errno == EAGAIN || errno == EINTR) return PumpResult::kEmpty;
  if (errno != EINVAL) return Stalled(Describe(stream.path, errno));
  // This file system cannot be spliced to.
  can_splice_ = false;
  return ReadAndWrite(stream, bytes_max, moved);
}

Spool::PumpResult Spool::ReadAndWrite(Stream& stream, size_t bytes_max, size_t* moved) {
  if (stream.unwritten.empty()) {
    stream.unwritten.resize(std::min(bytes_max, kReadBytesMax));
    const ssize_t got =
        read(stream.read_end.get(), stream.unwritten.data(), stream.unwritten.size());
    stream.unwritten.resize(got > 0 ? static_cast<size_t>(got) : 0);
    if (got == 0) return PumpResult::kEnd;
    if (got < 0) return PumpResult::kEmpty;
  }
  while (!stream.unwritten.empty()) {
    const ssize_t written =
        pwrite(stream.file.get(), stream.unwritten.data(), stream.unwritten.size(),
               static_cast<off_t>(stream.end + *moved));
    if (written < 0) return Stalled(Describe(stream.path, errno));
    *moved += static_cast<size_t>(written);
    stream.unwritten.erase(0, static_cast<size_t>(written));
  }
  return PumpResult::kMoved;
}

Spool::PumpResult Spool::Stalled(const std::string& reason) {
  stall_reason_ = reason;
  return PumpResult::kStalled;
}

bool Spool::FlushIndex() {
  while (!unwritten_index_.empty()) {
    const ssize_t written = pwrite(index_.get(), unwritten_index_.data(), unwritten_index_.size(),
                                   static_cast<off_t>(index_end_));
    if (written < 0) {
      Stalled(Describe("index", errno));
      return false;
    }
    index_end_ += static_cast<size_t>(written);
    unwritten_index_.erase(0, static_cast<size_t>(written));
  }
  return true;
}

uint64_t Spool::StoredBytes() const {
  uint64_t stored = 0;
  for (size_t i = 0; i < kStreams; ++i) stored += streams_[i].end - dropped_bytes(i);
  return stored;
}

uint64_t Spool::HeldBytes() const {
  uint64_t held = StoredBytes();
  for (const Stream& stream : streams_) held -= DataBegin(stream.file.get(), stream.end);
  return held;
}

// A file that cannot be made or removed is tried again with the next stall, or a harmless leftover.
void Spool::TellWaiting(bool waiting) {
  if (waiting == waiting_) return;
  if (!waiting) {
    waiting_ = unlink(waiting_path_.c_str()) != 0 && errno != ENOENT;
    return;
  }
  const base::UniqueFd file(
      open(waiting_path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kFileMode));
  waiting_ = file.valid();
}

uint64_t Spool::Limit() {
  if (access(full_path_.c_str(), F_OK) != 0) {
    full_limit_ = 0;
  } else if (full_limit_ == 0) {
    full_limit_ = std::max(StoredBytes(), kLeastBytes);
  }
  if (full_limit_ == 0) return bytes_max_;
  return bytes_max_ == 0 ? full_limit_ : std::min(bytes_max_, full_limit_);
}

bool Spool::MakeRoom() {
  const uint64_t limit = Limit();
  if (full_limit_ > 0 && overflow_ == OverflowPolicy::kBlock) {
    needs_room_ = true;
    Stalled("the spool directory is full");
    return false;
  }
  if (limit == 0 || StoredBytes() < limit) return true;
  if (overflow_ == OverflowPolicy::kBlock) {
    if (HeldBytes() < limit) return true;
    needs_room_ = true;
    Stalled("the log limit is reached");
    return false;
  }
  // Each stream keeps its first and last quarter; both together are then at most the limit, and
  // one that is shorter than both quarters loses nothing.
  const uint64_t quarter = limit / 4;
  for (Stream& stream : streams_) {
    if (stream.end - (stream.drop.to - stream.drop.from) <= 2 * quarter) continue;
    if (stream.drop.to == 0) stream.drop = {quarter, quarter};
    // The limit may have been another one before.
    const uint64_t to = stream.end - quarter;
    if (to > stream.drop.to && !Drop(stream, to)) return false;
  }
  return true;
}

bool Spool::DiskHasRoom(const Stream& stream) {
  struct statvfs disk{};
  if (fstatvfs(stream.file.get(), &disk) != 0) return true;
  if (static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize >= spare_bytes_) return true;
  needs_room_ = overflow_ == OverflowPolicy::kBlock;
  Stalled(Describe(stream.path, ENOSPC));
  return false;
}

bool Spool::Drop(Stream& stream, uint64_t to) {
  const base::DropRecord drop{stream.drop.from, to};
  const int error =
      base::ReplaceFileAt(AT_FDCWD, stream.path + std::string(base::kDropSuffix),
                          base::EncodeDropRecord(drop), 0600, base::Durability::kPowerLoss);
  if (error != 0) {
    Stalled(Describe(stream.path + std::string(base::kDropSuffix), error));
    return false;
  }
  // Where the file system cannot punch, the bytes stay but count as dropped.
  fallocate(stream.file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
            static_cast<off_t>(stream.drop.to), static_cast<off_t>(drop.to - stream.drop.to));
  stream.drop = drop;
  return true;
}

}  // namespace boxkeeper::launcher
