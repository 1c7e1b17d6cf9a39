#include "logs/lost_tail.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "logs/spool_reader.h"

namespace boxkeeper::logs {
namespace {

constexpr std::array kStreams{Stream::kStdout, Stream::kStderr};

uint64_t Reach(const TrackedLog& log, Stream stream, const std::array<uint64_t, 2>& lengths) {
  return std::max(lengths[static_cast<size_t>(stream)], log.Rendered(stream));
}

}  // namespace

absl::StatusOr<std::array<uint64_t, 2>> SpooledLengths(base::FileSystem& files,
                                                       const SpoolFiles& spool) {
  SpoolReader reader(files, spool, nullptr);
  std::array<uint64_t, 2> lengths{};
  for (const Stream stream : kStreams) {
    ASSIGN_OR_RETURN(uint64_t length, reader.Size(stream));
    ASSIGN_OR_RETURN(const Hole hole, reader.ReadHole(stream));
    if (!hole.empty() && hole.from <= length) length = std::max(length, hole.to);
    lengths[static_cast<size_t>(stream)] = length;
  }
  return lengths;
}

bool LacksTail(const TrackedLog& log, const std::array<uint64_t, 2>& lengths) {
  for (const Stream stream : kStreams) {
    if (log.Wants(stream) && Reach(log, stream, lengths) < *log.FinalSize(stream)) return true;
  }
  return false;
}

void GiveUpTail(TrackedLog& log, const std::array<uint64_t, 2>& lengths) {
  for (const Stream stream : kStreams) {
    uint64_t& size = stream == Stream::kStdout ? log.end->stdout_bytes : log.end->stderr_bytes;
    const uint64_t reach = Reach(log, stream, lengths);
    if (reach >= size) continue;
    log.lost +=
        absl::StrCat(log.lost.empty() ? "" : "; ", std::string(StreamName(stream)), ": ",
                     size - reach, " bytes at its end are gone from the spool (a power cut?)");
    size = reach;
  }
}

}  // namespace boxkeeper::logs
