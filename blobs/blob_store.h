// Contents too large for a submission, kept on the daemon's host for tasks that will name them.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/rng.h"
#include "blobs/blob_pins.h"

namespace boxkeeper::blobs {

struct BlobLimits {
  int64_t max_bytes = 0;       // of all together; see kChargeMin. 0: none are taken
  int64_t max_blob_bytes = 0;  // of one
  std::chrono::milliseconds ttl{0};
};

// For metrics.
struct BlobStoreStatus {
  int64_t blobs = 0;
  int64_t bytes = 0;    // of their contents
  int64_t uploads = 0;  // in flight
};

struct StoredBlob {
  bool existed = false;
  base::BootTime expires_at;  // unless it is pinned then
};

// Named by their content: the file of one never changes, and the same content is kept once. What
// is here stands in the folder's names alone, so that a start needs to read nothing:
// "<sha256>.<size>.<unique>"; "incoming.<unique>" is an upload, which only a crash leaves behind.
// After a restart the ttl of each begins anew.
//
// Lives on the loop; files are written on `pool`, which must be joined before the loop and this are
// destroyed.
class BlobStore final : public BlobPins {
 public:
  struct Deps {
    base::Clock& clock;
    base::Rng& rng;
    base::FileSystem& files;
    boost::asio::any_io_executor pool;
  };
  // What a blob counts as at least: bounds how many there can be.
  static constexpr int64_t kChargeMin = 64 * 1024;
  // Uploads in flight, each with one piece in memory.
  static constexpr int64_t kUploadsMax = 32;

  BlobStore(Deps deps, std::string folder, BlobLimits limits);

  // Makes the folder and looks what is in it. Blocking; once, before all else.
  absl::Status Open();

  // The next piece of an upload; nullopt: the client has sent it all.
  using Next = std::function<boost::asio::awaitable<absl::StatusOr<std::optional<std::string>>>()>;
  // Takes a blob and makes it durable; asks for no piece of one that is here. kInvalidArgument: the
  // content has another size or sum, or is too large; kFailedPrecondition: none are taken;
  // kResourceExhausted: no room; kUnavailable: too many uploads; else what `next` or the disk says.
  // Nothing is left behind of what fails. Cancellable where it waits for `next`.
  boost::asio::awaitable<absl::StatusOr<StoredBlob>> Put(std::string sha256, int64_t size,
                                                         Next next);

  bool Pin(const std::string& sha256) override;
  void Unpin(const std::string& sha256) override;
  std::string PathOf(const std::string& sha256) const override;

  // Removes what nobody has used for its ttl.
  void Sweep();
  void SetLimits(BlobLimits limits);
  const BlobLimits& limits() const { return limits_; }
  BlobStoreStatus status() const;

 private:
  struct Entry {
    std::string file;  // name in the folder
    int64_t size = 0;
    int64_t pins = 0;
    base::BootTime expires_at;
    std::list<std::string>::iterator place;  // in `idle_`, while `pins` is 0
  };
  using Entries = absl::flat_hash_map<std::string, Entry>;
  class Upload;

  void Insert(const std::string& sha256, Entry entry);
  void Touch(Entry& entry);
  void Remove(Entries::iterator entry);
  void RemoveFile(const std::string& name);
  // Room for a new one, at the cost of idle ones.
  absl::Status Reserve(int64_t size);
  boost::asio::awaitable<absl::Status> Receive(Upload& upload, const std::string& sha256,
                                               int64_t size, const Next& next);

  const Deps deps_;
  const std::string folder_;
  BlobLimits limits_;
  Entries entries_;
  std::list<std::string> idle_;  // not pinned, least recently used first
  int64_t bytes_ = 0;
  int64_t charged_ = 0;  // of entries and uploads
  int64_t uploads_ = 0;
};

}  // namespace boxkeeper::blobs
