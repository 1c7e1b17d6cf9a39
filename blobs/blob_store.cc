#include "blobs/blob_store.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/fault_points.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/run_on.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "blobs/blob_name.h"

namespace boxkeeper::blobs {
namespace {

using base::RunOn;
using boost::asio::awaitable;

constexpr char kIncoming[] = "incoming.";
constexpr uint32_t kFolderMode = 0700;
// Stays free on the disk: the daemon's own store needs some to go on.
constexpr int64_t kSpareBytes = int64_t{64} << 20;

int64_t ChargeOf(int64_t size) { return std::max(size, BlobStore::kChargeMin); }

struct BlobName {
  std::string sha256;
  int64_t size = 0;
};

std::optional<BlobName> ParseName(const std::string& name) {
  const std::vector<std::string> parts = absl::StrSplit(name, '.');
  BlobName blob;
  if (parts.size() != 3 || !IsBlobName(parts[0]) || !absl::SimpleAtoi(parts[1], &blob.size) ||
      blob.size < 0) {
    return std::nullopt;
  }
  blob.sha256 = parts[0];
  return blob;
}

}  // namespace

// Holds room, a place among the uploads and the file of one; gives back what was not taken over.
class BlobStore::Upload {
 public:
  Upload(BlobStore& store, int64_t size)
      : store_(store), charge_(ChargeOf(size)), unique_(store.deps_.rng.NewId().ToString()) {
    store_.charged_ += charge_;
    ++store_.uploads_;
  }
  ~Upload() {
    store_.charged_ -= charge_;
    --store_.uploads_;
    file_.reset();
    if (made_) store_.RemoveFile(name_);
  }
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  // The rest on the pool.
  absl::Status Make(int64_t size) {
    base::FileSystem& files = store_.deps_.files;
    ASSIGN_OR_RETURN(const uint64_t room, files.FreeBytes(store_.folder_));
    if (static_cast<int64_t>(room) < size + kSpareBytes) {
      return absl::ResourceExhaustedError("the disk of the daemon's blobs is full");
    }
    ASSIGN_OR_RETURN(file_,
                     files.Open(Path(name_), {.write = true, .create = true, .exclusive = true}));
    made_ = true;
    return absl::OkStatus();
  }
  absl::Status Add(std::string_view piece) {
    sum_.Add(piece);
    RETURN_IF_ERROR(file_->Append(piece));
    file_->StartWriteback();
    return absl::OkStatus();
  }
  std::string Sum() { return base::HexEncode(sum_.Finish()); }
  absl::Status Publish(const std::string& sha256, int64_t size) {
    RETURN_IF_ERROR(file_->Sync());
    const std::string name = absl::StrCat(sha256, ".", size, ".", unique_);
    RETURN_IF_ERROR(store_.deps_.files.Rename(Path(name_), Path(name)));
    name_ = name;
    base::Failpoint("blob.renamed");
    return store_.deps_.files.SyncDir(store_.folder_);
  }

  // On the loop: the file is the store's now.
  std::string Take() {
    made_ = false;
    return name_;
  }

 private:
  std::string Path(const std::string& name) const { return store_.folder_ + "/" + name; }

  BlobStore& store_;
  const int64_t charge_;
  const std::string unique_;
  std::string name_ = kIncoming + unique_;
  bool made_ = false;
  std::unique_ptr<base::File> file_;
  base::Sha256Stream sum_;
};

BlobStore::BlobStore(Deps deps, std::string folder, BlobLimits limits)
    : deps_(std::move(deps)), folder_(std::move(folder)), limits_(limits) {}

absl::Status BlobStore::Open() {
  RETURN_IF_ERROR(deps_.files.MakeDirectories(folder_, kFolderMode));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, deps_.files.List(folder_));
  for (const std::string& name : names) {
    const std::optional<BlobName> blob = ParseName(name);
    if (blob.has_value() && !entries_.contains(blob->sha256)) {
      Insert(blob->sha256,
             {.file = name, .size = blob->size, .pins = 0, .expires_at = {}, .place = {}});
    } else if (blob.has_value() || name.rfind(kIncoming, 0) == 0) {
      base::LogIfError(deps_.files.Remove(folder_ + "/" + name), "a blob's rest stays");
    }
  }
  return absl::OkStatus();
}

void BlobStore::Insert(const std::string& sha256, Entry entry) {
  bytes_ += entry.size;
  charged_ += ChargeOf(entry.size);
  entry.place = idle_.insert(idle_.end(), sha256);
  const auto [inserted, is_new] = entries_.insert_or_assign(sha256, std::move(entry));
  Touch(inserted->second);
}

void BlobStore::Touch(Entry& entry) {
  entry.expires_at = deps_.clock.Boot() + limits_.ttl;
  if (entry.pins == 0) idle_.splice(idle_.end(), idle_, entry.place);
}

void BlobStore::Remove(Entries::iterator entry) {
  bytes_ -= entry->second.size;
  charged_ -= ChargeOf(entry->second.size);
  idle_.erase(entry->second.place);
  RemoveFile(entry->second.file);
  entries_.erase(entry);
}

// Names are used once, so it does not matter when.
void BlobStore::RemoveFile(const std::string& name) {
  boost::asio::post(deps_.pool, [&files = deps_.files, path = folder_ + "/" + name] {
    base::LogIfError(files.Remove(path), "a blob's file stays until the next start");
  });
}

absl::Status BlobStore::Reserve(int64_t size) {
  if (limits_.max_bytes == 0) {
    return absl::FailedPreconditionError("this daemon takes no blobs: its blobs.max_bytes is 0");
  }
  if (size < 0 || size > limits_.max_blob_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("the blob has ", size, " bytes; at most ",
                                                   limits_.max_blob_bytes, " are allowed"));
  }
  if (uploads_ >= kUploadsMax) {
    return absl::UnavailableError(absl::StrCat(uploads_, " uploads are in flight"));
  }
  const int64_t charge = ChargeOf(size);
  while (charged_ + charge > limits_.max_bytes && !idle_.empty()) {
    Remove(entries_.find(idle_.front()));
  }
  if (charged_ + charge > limits_.max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("blobs.max_bytes (", limits_.max_bytes,
                     ") is reached by blobs that tasks need and by uploads in flight"));
  }
  return absl::OkStatus();
}

awaitable<absl::StatusOr<StoredBlob>> BlobStore::Put(std::string sha256, int64_t size, Next next) {
  auto found = entries_.find(sha256);
  if (found != entries_.end()) {
    if (found->second.size != size) {
      co_return absl::InvalidArgumentError(
          absl::StrCat("the blob of this sum has ", found->second.size, " bytes, not ", size));
    }
    Touch(found->second);
    co_return StoredBlob{true, found->second.expires_at};
  }
  absl::Status room = Reserve(size);
  CO_RETURN_IF_ERROR(room);
  Entry entry{.file = "", .size = size, .pins = 0, .expires_at = {}, .place = {}};
  {
    Upload upload(*this, size);
    absl::Status received = co_await Receive(upload, sha256, size, next);
    CO_RETURN_IF_ERROR(received);
    found = entries_.find(sha256);
    // Another client was faster: its file is the one.
    if (found == entries_.end()) entry.file = upload.Take();
  }
  if (found == entries_.end()) {
    Insert(sha256, std::move(entry));
    found = entries_.find(sha256);
  } else {
    Touch(found->second);
  }
  co_return StoredBlob{false, found->second.expires_at};
}

awaitable<absl::Status> BlobStore::Receive(Upload& upload, const std::string& sha256, int64_t size,
                                           const Next& next) {
  absl::Status made = co_await RunOn(deps_.pool, [&upload, size] { return upload.Make(size); });
  CO_RETURN_IF_ERROR(made);
  int64_t received = 0;
  for (;;) {
    absl::StatusOr<std::optional<std::string>> piece = co_await next();
    if (!piece.ok()) co_return piece.status();
    if (!piece->has_value()) break;
    received += static_cast<int64_t>((*piece)->size());
    if (received > size) break;
    absl::Status added = co_await RunOn(
        deps_.pool, [&upload, bytes = **std::move(piece)] { return upload.Add(bytes); });
    CO_RETURN_IF_ERROR(added);
  }
  if (received != size) {
    co_return absl::InvalidArgumentError(
        absl::StrCat("the first message says ", size, " bytes, but ", received, " were sent"));
  }
  if (upload.Sum() != sha256) {
    co_return absl::InvalidArgumentError("what was sent has another SHA-256 than it says");
  }
  absl::Status published = co_await RunOn(deps_.pool, [&] { return upload.Publish(sha256, size); });
  co_return published;
}

bool BlobStore::Pin(const std::string& sha256) {
  const auto found = entries_.find(sha256);
  if (found == entries_.end()) return false;
  if (found->second.pins++ == 0) idle_.erase(found->second.place);
  return true;
}

void BlobStore::Unpin(const std::string& sha256) {
  const auto found = entries_.find(sha256);
  if (found == entries_.end() || --found->second.pins > 0) return;
  found->second.place = idle_.insert(idle_.end(), sha256);
  Touch(found->second);
}

std::string BlobStore::PathOf(const std::string& sha256) const {
  const auto found = entries_.find(sha256);
  return absl::StrCat(folder_, "/", found == entries_.end() ? sha256 : found->second.file);
}

// Touched ones move to the end, so the first that is not due is followed by none that is; but for a
// ttl that was made shorter meanwhile, whose blobs go a little later.
void BlobStore::Sweep() {
  const base::BootTime now = deps_.clock.Boot();
  while (!idle_.empty()) {
    const auto oldest = entries_.find(idle_.front());
    if (oldest->second.expires_at > now) return;
    Remove(oldest);
  }
}

void BlobStore::SetLimits(BlobLimits limits) { limits_ = limits; }

BlobStoreStatus BlobStore::status() const {
  return {.blobs = static_cast<int64_t>(entries_.size()), .bytes = bytes_, .uploads = uploads_};
}

}  // namespace boxkeeper::blobs
