#include "logs/s3/s3_upload.h"

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/crypto/md5.h"
#include "base/run_on.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "logs/remote/piece_reader.h"
#include "logs/s3/s3_objects.h"

namespace boxkeeper::logs::s3 {

namespace asio = boost::asio;
using asio::experimental::awaitable_operators::operator&&;

namespace {

// S3 allows 10 000 parts; the head takes some.
constexpr uint64_t kPartsMax = 9'000;
// Of one copy. S3 allows 5 GiB; smaller ones end sooner.
constexpr uint64_t kCopyBytesMax = uint64_t{1} << 30;

// Cuts head and piece into parts.
class Parts {
 public:
  Parts(asio::any_io_executor pool, std::string head, Piece piece)
      : pool_(std::move(pool)), head_(std::move(head)), reader_(pool_, piece) {}

  // Empty at the end.
  asio::awaitable<absl::StatusOr<Part>> Next(uint64_t bytes) {
    std::string data = std::exchange(head_, std::string());
    auto more = co_await reader_.Next(bytes - data.size());
    CO_RETURN_IF_ERROR(more.status());
    data = data.empty() ? *std::move(more) : data + *more;
    auto work = [data = std::move(data)]() mutable -> absl::StatusOr<Part> {
      Part part;
      part.sha256 = base::Sha256(data);
      part.md5 = base::Md5(data);
      part.data = std::make_shared<const std::string>(std::move(data));
      return part;
    };
    co_return co_await base::RunOn(pool_, std::move(work));
  }

 private:
  asio::any_io_executor pool_;
  std::string head_;
  remote::PieceReader reader_;
};

class PartedUpload {
 public:
  PartedUpload(S3Client& client, std::string bucket, std::string key)
      : client_(client), bucket_(std::move(bucket)), key_(std::move(key)) {}

  asio::awaitable<absl::Status> Run(const Head& head, Parts& parts, uint64_t part_bytes) {
    mark_ = client_.rng().NewId().ToString();
    auto begun = co_await BeginUpload(client_, key_, mark_);
    CO_RETURN_IF_ERROR(begun.status());
    upload_ = *std::move(begun);
    absl::Status status = co_await CopyHead(head);
    if (status.ok()) status = co_await SendParts(parts, part_bytes);
    if (status.ok()) status = co_await Complete();
    if (status.ok()) co_return status;
    // Parts cost money until somebody aborts them; what cannot be aborted now is when it is old.
    const absl::Status aborted = co_await AbortUpload(client_, key_, upload_);
    aborted.IgnoreError();
    co_return status;
  }

 private:
  // Parts of equal size: none of them but the upload's last may be small.
  asio::awaitable<absl::Status> CopyHead(const Head& head) {
    const uint64_t count = (head.copied + kCopyBytesMax - 1) / kCopyBytesMax;
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t from = head.copied * i / count;
      const uint64_t to = head.copied * (i + 1) / count;
      auto etag = co_await CopyPart(client_, key_, upload_, NextNumber(),
                                    absl::StrCat(bucket_, "/", key_), from, to);
      CO_RETURN_IF_ERROR(etag.status());
      etags_.push_back(*std::move(etag));
    }
    co_return absl::OkStatus();
  }

  asio::awaitable<absl::Status> SendParts(Parts& parts, uint64_t part_bytes) {
    auto part = co_await parts.Next(part_bytes);
    for (;;) {
      CO_RETURN_IF_ERROR(part.status());
      if (part->data->empty()) co_return absl::OkStatus();
      auto put = PutPart(client_, key_, upload_, NextNumber(), *std::move(part));
      // The next one is read and hashed while this one is on its way.
      auto [etag, next] = co_await (std::move(put) && parts.Next(part_bytes));
      CO_RETURN_IF_ERROR(etag.status());
      etags_.push_back(*std::move(etag));
      part = std::move(next);
    }
  }

  asio::awaitable<absl::Status> Complete() {
    absl::Status completed = co_await CompleteUpload(client_, key_, upload_, etags_);
    if (!absl::IsNotFound(completed)) co_return completed;
    // An earlier try was successful and its answer was lost: then the object is ours.
    auto info = co_await HeadObject(client_, key_);
    if (info.ok() && info->mark == mark_) co_return absl::OkStatus();
    co_return absl::UnavailableError(
        absl::StrCat("s3: the upload of ", key_, " was aborted by somebody else"));
  }

  int NextNumber() const { return static_cast<int>(etags_.size()) + 1; }

  S3Client& client_;
  const std::string bucket_, key_;
  std::string mark_;
  std::string upload_;
  std::vector<std::string> etags_;
};

}  // namespace

asio::awaitable<absl::Status> StoreObject(S3Client& client, asio::any_io_executor pool,
                                          std::string bucket, std::string key, Head head,
                                          Piece piece, uint64_t part_bytes) {
  const uint64_t sent = head.bytes.size() + piece.size;
  part_bytes = std::max(part_bytes, sent / kPartsMax + 1);
  Parts parts(std::move(pool), std::exchange(head.bytes, {}), std::move(piece));
  if (head.copied == 0 && sent <= part_bytes) {
    auto part = co_await parts.Next(part_bytes);
    CO_RETURN_IF_ERROR(part.status());
    co_return co_await PutObject(client, std::move(key), *std::move(part));
  }
  PartedUpload upload(client, std::move(bucket), std::move(key));
  co_return co_await upload.Run(head, parts, part_bytes);
}

}  // namespace boxkeeper::logs::s3
