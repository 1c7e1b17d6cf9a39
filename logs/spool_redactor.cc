#include "logs/spool_redactor.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "logs/freed_spool.h"
#include "logs/spool_reader.h"

namespace boxkeeper::logs {
namespace {

constexpr size_t kWindowBytes = size_t{1} << 20;

// Bytes to overwrite, collected until they are known to be a whole occurrence.
class Run {
 public:
  explicit Run(base::File& file) : file_(file) {}

  absl::Status Add(uint64_t offset) {
    if (offset != to_ || to_ - from_ >= kWindowBytes) {
      RETURN_IF_ERROR(Flush());
      from_ = offset;
    }
    to_ = offset + 1;
    return absl::OkStatus();
  }

  absl::Status Flush() {
    if (from_ == to_) return absl::OkStatus();
    const uint64_t size = to_ - from_;
    wrote_ = true;
    return file_.WriteAt(std::exchange(from_, to_), std::string(size, '*'));
  }

  bool wrote() const { return wrote_; }

 private:
  base::File& file_;
  uint64_t from_ = 0;
  uint64_t to_ = 0;
  bool wrote_ = false;
};

// From `at` on.
absl::Status RedactStream(base::File& file, uint64_t at, const Hole& hole,
                          const Redactor& redactor) {
  Run run(file);
  // What stands before `at`, as it was before anything was overwritten.
  std::string before;
  while (true) {
    if (hole.from <= at && at < hole.to) {
      at = hole.to;
      before.clear();
    }
    ASSIGN_OR_RETURN(const std::string ahead, file.ReadAt(at, kWindowBytes + redactor.context()));
    if (ahead.empty()) break;
    const std::string original = before + ahead;
    std::string redacted = original;
    const size_t lead = before.size();
    const size_t end = lead + std::min(ahead.size(), kWindowBytes);
    if (redactor.Redact(redacted) > 0) {
      for (size_t i = lead; i < end; ++i) {
        if (original[i] != redacted[i]) RETURN_IF_ERROR(run.Add(at + (i - lead)));
      }
    }
    at += end - lead;
    const size_t keep = std::min(end, redactor.context());
    before = original.substr(end - keep, keep);
  }
  RETURN_IF_ERROR(run.Flush());
  return run.wrote() ? file.Sync() : absl::OkStatus();
}

// Of what was freed before `freed_to` only the end is left, which nobody reads: all of it goes. But
// last, because it shows where a value that reaches behind `freed_to` begins.
absl::Status RedactFreedStream(base::File& file, uint64_t freed_to, const Hole& hole,
                               const Redactor& redactor) {
  uint64_t begin = PunchedTo(freed_to, redactor.context());
  // A crash may have left it there.
  if (begin > 0 && !file.PunchHole(0, begin).ok()) begin = 0;
  RETURN_IF_ERROR(RedactStream(file, begin, hole, redactor));
  for (uint64_t at = begin; at < freed_to;) {
    const uint64_t size = std::min<uint64_t>(freed_to - at, kWindowBytes);
    RETURN_IF_ERROR(file.WriteAt(at, std::string(size, '*')));
    at += size;
  }
  return file.Sync();
}

}  // namespace

absl::Status RedactSpool(base::FileSystem& files, const SpoolFiles& spool,
                         const Redactor& redactor) {
  if (redactor.empty()) return absl::OkStatus();
  SpoolReader reader(files, spool, nullptr);
  for (const Stream stream : {Stream::kStdout, Stream::kStderr}) {
    auto file = files.Open(spool.path(stream), {.write = true});
    if (absl::IsNotFound(file.status())) continue;
    RETURN_IF_ERROR(file.status());
    ASSIGN_OR_RETURN(const Hole hole, reader.ReadHole(stream));
    ASSIGN_OR_RETURN(const uint64_t freed_to, reader.ReadFreed(stream));
    RETURN_IF_ERROR(freed_to > 0 ? RedactFreedStream(**file, freed_to, hole, redactor)
                                 : RedactStream(**file, 0, hole, redactor));
  }
  return absl::OkStatus();
}

}  // namespace boxkeeper::logs
