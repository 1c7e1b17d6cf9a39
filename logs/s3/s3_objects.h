// The operations of S3 that the store is made of, one request each.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "logs/s3/s3_client.h"

namespace boxkeeper::logs::s3 {

// Bytes with their checksums.
struct Part {
  std::shared_ptr<const std::string> data;
  std::string sha256;  // 32 bytes
  std::string md5;     // 16 bytes; empty where this machine has no MD5
};

struct ObjectInfo {
  uint64_t size = 0;
  std::string mark;  // what BeginUpload was given
};

struct Upload {
  std::string key;
  std::string id;
  absl::Time began;
};

// Keys are whole. Errors as of S3Client::Send; `client` outlives the calls.

// kUnavailable if what was stored is not what was sent.
boost::asio::awaitable<absl::Status> PutObject(S3Client& client, std::string key, Part part);
// kNotFound if it is not there.
boost::asio::awaitable<absl::StatusOr<ObjectInfo>> HeadObject(S3Client& client, std::string key);
// At most `size` bytes from `offset`, fewer only at its end.
boost::asio::awaitable<absl::StatusOr<std::string>> GetObject(S3Client& client, std::string key,
                                                              uint64_t offset, size_t size);
// One that is not there is success.
boost::asio::awaitable<absl::Status> DeleteObject(S3Client& client, std::string key);
// Keys that begin with `prefix`, at most `limit`, in order.
boost::asio::awaitable<absl::StatusOr<std::vector<std::string>>> ListObjects(S3Client& client,
                                                                             std::string prefix,
                                                                             size_t limit);

// Uploads in parts. The object gets `mark`, so that it can be recognised.
boost::asio::awaitable<absl::StatusOr<std::string>> BeginUpload(S3Client& client, std::string key,
                                                                std::string mark);
// Both: the part's ETag, for CompleteUpload. Numbers from 1.
boost::asio::awaitable<absl::StatusOr<std::string>> PutPart(S3Client& client, std::string key,
                                                            std::string upload, int number,
                                                            Part part);
// Bytes [from, to) of the object `source` ("bucket/key"). Without a condition on its version: an
// object has one writer, and Swift takes no part's ETag for one.
boost::asio::awaitable<absl::StatusOr<std::string>> CopyPart(S3Client& client, std::string key,
                                                             std::string upload, int number,
                                                             std::string source, uint64_t from,
                                                             uint64_t to);
// kNotFound: there is no such upload (any more).
boost::asio::awaitable<absl::Status> CompleteUpload(S3Client& client, std::string key,
                                                    std::string upload,
                                                    std::vector<std::string> etags);
// One that is not there is success.
boost::asio::awaitable<absl::Status> AbortUpload(S3Client& client, std::string key,
                                                 std::string upload);
// Unfinished uploads of keys that begin with `prefix`; the first page, up to 1000.
boost::asio::awaitable<absl::StatusOr<std::vector<Upload>>> ListUploads(S3Client& client,
                                                                        std::string prefix);

}  // namespace boxkeeper::logs::s3
