// The calls of the Blob service that the store is made of. Each can be repeated.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "logs/azure/blob_client.h"

namespace boxkeeper::logs::azure {

struct BlobState {
  uint64_t length = 0;
  bool is_append_blob = false;
};

struct ListedBlob {
  std::string name;
  absl::Time modified = absl::InfiniteFuture();  // if it was not said
};

// What became of an append.
enum class Appended {
  kDone,
  kDiffers,  // there are other bytes, or more behind
  kShort,    // the blob ends before the offset, or is not there, or is none that grows
  kFull,     // it has as many blocks as it can have
};

// On the loop's thread; `client` outlives it. Names are whole names of blobs.
class BlobCalls {
 public:
  explicit BlobCalls(BlobClient& client) : client_(client) {}

  // kNotFound if there is no such blob.
  boost::asio::awaitable<absl::StatusOr<BlobState>> Properties(std::string blob);
  // Up to `size` bytes, less at the end of the blob only. kNotFound.
  boost::asio::awaitable<absl::StatusOr<std::string>> ReadRange(std::string blob, uint64_t offset,
                                                                size_t size);

  // An empty append blob in place of whatever was there.
  boost::asio::awaitable<absl::Status> BeginAppendBlob(std::string blob);
  // Makes bytes [offset, ...) `data`, if they are the blob's last ones then; one block, so at most
  // 100 MiB. What an earlier try has written already counts as done.
  boost::asio::awaitable<absl::StatusOr<Appended>> Append(std::string blob, uint64_t offset,
                                                          std::string data);

  // A block blob, whole.
  boost::asio::awaitable<absl::Status> PutBlob(std::string blob, std::string data);
  // Block number `index` of a block blob to be. One that is never committed is dropped by Azure
  // after a week.
  boost::asio::awaitable<absl::Status> PutBlock(std::string blob, uint32_t index, std::string data);
  // Blocks 0 to `count` - 1 become the blob.
  boost::asio::awaitable<absl::Status> CommitBlocks(std::string blob, uint32_t count);

  // Makes `to` a copy of `from`, by the server; returns when it is done.
  boost::asio::awaitable<absl::Status> Copy(std::string from, std::string to);
  // One that is not there is success.
  boost::asio::awaitable<absl::Status> Delete(std::string blob);
  // At most `max` (a page more than that is not asked for), sorted by name.
  boost::asio::awaitable<absl::StatusOr<std::vector<ListedBlob>>> List(std::string prefix,
                                                                       size_t max);

 private:
  boost::asio::awaitable<absl::StatusOr<Appended>> CompareAppended(std::string blob,
                                                                   uint64_t offset,
                                                                   std::string data);
  BlobClient& client_;
};

}  // namespace boxkeeper::logs::azure
