#include "store/ballast.h"

#include <algorithm>
#include <memory>

#include "base/log.h"
#include "base/rng.h"
#include "base/status_macros.h"

namespace boxkeeper::store {
namespace {

// Does not compress: file systems that do would reserve nothing for zeros.
std::string Noise(size_t bytes) {
  std::unique_ptr<base::Rng> rng = base::MakeSeededRng(1);
  std::string noise(bytes, '\0');
  for (char& c : noise) c = static_cast<char>(rng->Next());
  return noise;
}

}  // namespace

Ballast::Ballast(base::FileSystem& fs, std::string path, uint64_t bytes)
    : fs_(fs), path_(std::move(path)), bytes_(bytes) {}

void Ballast::Refill() {
  if (held_) return;
  auto size = [&]() -> absl::StatusOr<uint64_t> {
    ASSIGN_OR_RETURN(std::unique_ptr<base::File> file, fs_.Open(path_, {}));
    return file->Size();
  }();
  if (size.ok() && *size == bytes_) {
    held_ = true;
    return;
  }
  auto free = fs_.FreeBytes(base::ParentDirectory(path_));
  if (!free.ok() || *free < 2 * bytes_) return;
  absl::Status made = Make();
  held_ = made.ok();
  if (held_) return;
  base::LogIfError(made, "the reserve file is made again when there is space");
  base::LogIfError(fs_.Remove(path_), "a part of the reserve file stays");
}

absl::Status Ballast::Make() {
  base::OpenOptions options{.write = true, .create = true, .truncate = true};
  ASSIGN_OR_RETURN(std::unique_ptr<base::File> file, fs_.Open(path_, options));
  constexpr uint64_t kPiece = 64 * 1024;
  const std::string noise = Noise(kPiece);
  for (uint64_t done = 0; done < bytes_; done += kPiece) {
    uint64_t size = std::min(kPiece, bytes_ - done);
    RETURN_IF_ERROR(file->WriteAt(done, std::string_view(noise).substr(0, size)));
  }
  // Allocation may be delayed until the sync.
  return file->Sync();
}

bool Ballast::Release() {
  if (!held_) return false;
  held_ = false;
  absl::Status removed = fs_.Remove(path_);
  // Freed blocks can be used once the directory is synced.
  if (removed.ok()) removed = fs_.SyncDir(base::ParentDirectory(path_));
  base::LogIfError(removed, "the disk stays full");
  return removed.ok();
}

}  // namespace boxkeeper::store
