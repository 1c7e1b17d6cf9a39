#include "logs/freed_spool.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/core/spool_format.h"
#include "base/fault_points.h"
#include "base/status_macros.h"

namespace boxkeeper::logs {
namespace {

// Nothing is gained by punching parts of blocks, and they would have to be written.
constexpr uint64_t kBlockBytes = 4096;

}  // namespace

uint64_t PunchedTo(uint64_t to, uint64_t keep) {
  return (to - std::min(to, keep)) / kBlockBytes * kBlockBytes;
}

absl::Status FreeStored(base::FileSystem& files, const SpoolFiles& spool, Stream stream,
                        uint64_t to, uint64_t keep) {
  const std::string path = spool.path(stream);
  const uint64_t end = PunchedTo(to, keep);
  if (end == 0) return absl::OkStatus();
  base::Failpoint("spool.before_freed");
  RETURN_IF_ERROR(base::WriteFileAtomically(files,
                                            absl::StrCat(path, std::string(base::kFreedSuffix)),
                                            base::EncodeFreedRecord(to), 0600));
  base::Failpoint("spool.after_freed");
  auto file = files.Open(path, {.write = true});
  RETURN_IF_ERROR(file.status());
  RETURN_IF_ERROR((*file)->PunchHole(0, end));
  base::Failpoint("spool.after_punch");
  return absl::OkStatus();
}

}  // namespace boxkeeper::logs
