#include "logs/plain_piece.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace boxkeeper::logs {
namespace {

constexpr size_t kReadBytes = 1024 * 1024;

class SpooledSource final : public PieceSource {
 public:
  SpooledSource(SpoolReader reader, PlainRange range, std::optional<uint64_t> final_size)
      : reader_(std::move(reader)),
        range_(std::move(range)),
        final_size_(final_size),
        at_(range_.from) {}

  absl::StatusOr<std::string> Next() override {
    if (!range_.marker.empty()) return std::exchange(range_.marker, std::string());
    if (at_ == range_.to) return std::string();
    const uint64_t wanted = std::min<uint64_t>(range_.to - at_, kReadBytes);
    ASSIGN_OR_RETURN(SpoolSlice slice, reader_.ReadAt(range_.stream, at_, wanted, final_size_));
    if (slice.data.empty()) {
      return absl::DataLossError(absl::StrCat("the spool has no bytes at ", at_));
    }
    at_ += slice.data.size();
    return std::move(slice.data);
  }

 private:
  SpoolReader reader_;
  PlainRange range_;
  const std::optional<uint64_t> final_size_;
  uint64_t at_;
};

}  // namespace

PlainMeasure::PlainMeasure(SpoolReader reader, PlainRange range, std::optional<uint64_t> final_size,
                           std::optional<ResumableSha256> stored_hash)
    : reader_(std::move(reader)),
      range_(std::move(range)),
      final_size_(final_size),
      stored_hash_(stored_hash) {
  range_.to = range_.from;
  Take(range_.marker);
}

absl::StatusOr<bool> PlainMeasure::Step(size_t max_bytes) {
  ASSIGN_OR_RETURN(last_, reader_.ReadAt(range_.stream, range_.to, max_bytes, final_size_));
  // While the stream grows, what lies behind a hole's begin may be dropped still.
  const bool waits = !final_size_ && !last_.hole.empty() && range_.to >= last_.hole.from;
  const std::string data = std::exchange(last_.data, std::string());
  if (data.empty() || waits) return false;
  Take(data);
  range_.to += data.size();
  redacted_ += last_.redacted;
  return true;
}

absl::Status PlainMeasure::Finish() {
  sha256_ = hash_.Finish();
  if (keep_) content_ = std::make_shared<const std::string>(std::move(kept_));
  return reader_.Sync();
}

void PlainMeasure::Take(std::string_view bytes) {
  hash_.Add(bytes);
  if (stored_hash_) stored_hash_->Update(bytes);
  keep_ = keep_ && kept_.size() + bytes.size() <= kKeepBytes;
  if (keep_) {
    kept_ += bytes;
  } else {
    kept_ = std::string();
  }
}

std::function<absl::StatusOr<std::unique_ptr<PieceSource>>()> PlainOpener(
    SpoolReader reader, PlainRange range, std::optional<uint64_t> final_size) {
  return [reader = std::move(reader), range = std::move(range),
          final_size]() -> absl::StatusOr<std::unique_ptr<PieceSource>> {
    return std::make_unique<SpooledSource>(reader, range, final_size);
  };
}

}  // namespace boxkeeper::logs
