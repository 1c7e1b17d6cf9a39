// Where logs go in the end: a directory, a bucket. The narrow interface behind which S3, GCS and
// Azure fit.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace boxkeeper::logs {

// The bytes of one piece, produced as they are needed, so that a piece of any size is stored in
// flat memory.
class PieceSource {
 public:
  virtual ~PieceSource() = default;
  // The next bytes, at most about 1 MiB; empty at the end. Blocking: called on the pool, by one
  // thread at a time. An error ends the upload and is its result.
  virtual absl::StatusOr<std::string> Next() = 0;
};

// A piece: written once, whole, under its final name. Known before the upload: its size and
// SHA-256.
struct Piece {
  std::string name = {};
  uint64_t size = 0;
  std::string sha256 = {};  // 32 bytes
  std::function<absl::StatusOr<std::unique_ptr<PieceSource>>()> open =
      {};  // from the beginning; again for each retry
};

// Names are relative to the base URL: components separated by '/', none of them empty, "." or "..".
// Methods are called on the loop and complete on it. Errors: kUnavailable, kDeadlineExceeded and
// kResourceExhausted are worth a retry after a while; kPermissionDenied, kUnauthenticated,
// kInvalidArgument need an operator (retried all the same, slower: the spool keeps the bytes);
// kNotFound only from Read.
class ObjectStore {
 public:
  // List gives no more.
  static constexpr size_t kMaxListed = 10'000;

  virtual ~ObjectStore() = default;

  // For messages: the base URL without credentials.
  virtual const std::string& url() const = 0;

  // True if WriteAt and Sync work: objects that grow. Else `plain` is stored in pieces, growing
  // objects by Extend, and these two are never called.
  virtual bool can_append() const = 0;

  // Makes bytes [offset, offset + data.size()) of the object `data`; at offset 0 it begins the
  // object anew. kOutOfRange if the object ends before `offset`. Idempotent: what is written again
  // is the same as before. Durable only after Sync.
  virtual boost::asio::awaitable<absl::Status> WriteAt(std::string name, uint64_t offset,
                                                       std::string data) = 0;
  // The object's first `size` bytes, and its existence, are durable; what a writer that died left
  // behind them is cut off. kOutOfRange if it has fewer.
  virtual boost::asio::awaitable<absl::Status> Sync(std::string name, uint64_t size) = 0;

  // Stores the piece whole or not at all, durably; one of the same name is replaced (a repeat: the
  // same bytes). kDataLoss if what `open` gave is not of the announced size and SHA-256: nothing is
  // stored then.
  virtual boost::asio::awaitable<absl::Status> Put(Piece piece) = 0;

  // Makes the object `tail.name` its first `from` bytes followed by the tail, whole or not at all,
  // durably: readers see the object as it was or as it will be, nothing between. What was behind
  // `from` is replaced, so a repeat changes nothing. kOutOfRange if the object is shorter than
  // `from` (not there: 0 bytes); from == 0 is Put. kDataLoss as with Put.
  virtual boost::asio::awaitable<absl::Status> Extend(uint64_t from, Piece tail) = 0;

  // The object is gone, durably; one that is not there is success.
  virtual boost::asio::awaitable<absl::Status> Remove(std::string name) = 0;

  // Up to `max_bytes` from `offset`; less only at the end of the object. kNotFound if there is no
  // such object.
  virtual boost::asio::awaitable<absl::StatusOr<std::string>> Read(std::string name,
                                                                   uint64_t offset,
                                                                   size_t max_bytes) = 0;
  // Names of the objects whose name starts with `prefix`, sorted bytewise; the first kMaxListed.
  virtual boost::asio::awaitable<absl::StatusOr<std::vector<std::string>>> List(
      std::string prefix) = 0;

  // Can objects be written? For --check_config --connect and the start. The message says what to
  // fix.
  virtual boost::asio::awaitable<absl::Status> Check() = 0;
};

}  // namespace boxkeeper::logs
