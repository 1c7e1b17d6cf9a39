// The bytes of a stretch of one stream, as the `plain` and `metaflow` layouts store them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/sha256.h"
#include "logs/object_store.h"
#include "logs/resumable_sha256.h"
#include "logs/spool_reader.h"

namespace boxkeeper::logs {

// Stream bytes [from, to), behind `marker`.
struct PlainRange {
  Stream stream = Stream::kStdout;
  std::string marker = {};
  uint64_t from = 0;
  uint64_t to = 0;
};

// Measures what can be cut from `range.from` on, block after block. Blocking; used on the pool by
// one thread at a time.
class PlainMeasure {
 public:
  // Above it a piece is read twice rather than kept.
  static constexpr size_t kKeepBytes = 1024 * 1024;

  // `range.to` is ignored.
  PlainMeasure(SpoolReader reader, PlainRange range, std::optional<uint64_t> final_size,
               std::optional<ResumableSha256> stored_hash);

  // Takes the next block, at most `max_bytes`; false if there is nothing more now.
  absl::StatusOr<bool> Step(size_t max_bytes);
  // Makes the spool durable and closes the sums; after it: content() and so on.
  absl::Status Finish();

  const PlainRange& range() const { return range_; }  // so far
  uint64_t taken() const { return range_.to - range_.from; }
  const SpoolSlice& last() const { return last_; }  // the slice that ended it, without data
  uint64_t redacted() const { return redacted_; }
  const std::string& sha256() const { return sha256_; }
  const std::optional<ResumableSha256>& stored_hash() const { return stored_hash_; }
  // If it is small.
  std::shared_ptr<const std::string> content() const { return content_; }

 private:
  void Take(std::string_view bytes);

  SpoolReader reader_;
  PlainRange range_;
  const std::optional<uint64_t> final_size_;
  std::optional<ResumableSha256> stored_hash_;
  base::Sha256Stream hash_;
  std::string sha256_;
  bool keep_ = true;
  std::string kept_;
  std::shared_ptr<const std::string> content_;
  uint64_t redacted_ = 0;
  SpoolSlice last_;
};

// For Piece::open. The source fails with kDataLoss if the spool has the bytes no more.
std::function<absl::StatusOr<std::unique_ptr<PieceSource>>()> PlainOpener(
    SpoolReader reader, PlainRange range, std::optional<uint64_t> final_size);

}  // namespace boxkeeper::logs
