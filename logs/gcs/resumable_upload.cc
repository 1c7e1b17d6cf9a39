#include "logs/gcs/resumable_upload.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "logs/remote/encode.h"

namespace boxkeeper::logs::gcs {

namespace asio = boost::asio;
namespace http = base::http;

namespace {

constexpr int kResumeIncomplete = 308;
constexpr int kClientClosed = 499;  // what a cancelled upload is answered with
constexpr char kType[] = "application/octet-stream";

}  // namespace

asio::awaitable<absl::Status> ResumableUpload::Begin() {
  GcsRequest request{.method = "POST"};
  request.target = absl::StrCat(
      client_.upload(), "?", remote::EncodeQuery({{"uploadType", "resumable"}, {"name", name_}}));
  request.headers.Set("X-Upload-Content-Type", kType);
  request.headers.Set("X-Upload-Content-Length", absl::StrCat(size_));
  auto reply = co_await client_.Call(name_, std::move(request));
  CO_RETURN_IF_ERROR(reply.status());
  const std::string* location = reply->headers.Find("Location");
  if (location == nullptr) {
    co_return absl::UnavailableError(absl::StrCat(name_, ": no place to upload to was answered"));
  }
  auto target = client_.TargetOf(*location);
  if (!target.ok()) {
    co_return absl::Status(
        target.status().code(),
        absl::StrCat(name_, ": where to upload to: ", std::string(target.status().message())));
  }
  session_ = *std::move(target);
  co_return absl::OkStatus();
}

// A 308 with how much is stored, or the finished object.
absl::Status ResumableUpload::Take(const http::Reply& reply) {
  uncertain_ = false;
  if (reply.status < 300) {
    result_ = reply.body.empty() ? "{}" : reply.body;
    stored_ = size_;
    return absl::OkStatus();
  }
  const std::string* range =
      reply.headers.Find("Range");  // "bytes=0-LAST"; none: nothing is stored
  uint64_t stored = 0;
  if (range != nullptr) {
    const size_t dash = range->find('-');
    if (dash == std::string::npos || !absl::SimpleAtoi(range->substr(dash + 1), &stored)) {
      return absl::UnavailableError(absl::StrCat(name_, ": an answer without a good range"));
    }
    ++stored;
  }
  // What was confirmed and given up cannot be sent again: the whole begins anew.
  if (stored < block_start_) {
    return absl::AbortedError(absl::StrCat(name_, ": the server lost a part of the upload"));
  }
  stored_ = stored;
  return absl::OkStatus();
}

asio::awaitable<absl::Status> ResumableUpload::AskProgress() {
  GcsRequest request{.method = "PUT", .target = session_};
  request.headers.Set("Content-Range", absl::StrCat("bytes */", size_));
  request.retry = false;
  request.expected = kResumeIncomplete;
  auto reply = co_await client_.Call(name_, std::move(request));
  CO_RETURN_IF_ERROR(reply.status());
  co_return Take(*reply);
}

asio::awaitable<absl::Status> ResumableUpload::SendRest(const std::string& block,
                                                        const std::string& crc32c) {
  if (uncertain_) {
    absl::Status asked = co_await AskProgress();
    CO_RETURN_IF_ERROR(asked);
  }
  const uint64_t end = block_start_ + block.size();
  while (!finished() && (stored_ < end || end == size_)) {
    if (stored_ > end)
      co_return absl::AbortedError(absl::StrCat(name_, ": the server has too much"));
    GcsRequest request{.method = "PUT", .target = session_};
    request.body = block.substr(stored_ - block_start_);
    request.headers.Set("Content-Range", request.body.empty() ? absl::StrCat("bytes */", size_)
                                                              : absl::StrCat("bytes ", stored_, "-",
                                                                             end - 1, "/", size_));
    if (end == size_) request.headers.Set("X-Goog-Hash", "crc32c=" + crc32c);
    request.retry = false;
    request.expected = kResumeIncomplete;
    const uint64_t before = stored_;
    uncertain_ = true;
    auto reply = co_await client_.Call(name_, std::move(request));
    CO_RETURN_IF_ERROR(reply.status());
    absl::Status taken = Take(*reply);
    CO_RETURN_IF_ERROR(taken);
    if (!finished() && stored_ == before) {
      co_return absl::UnavailableError(absl::StrCat(name_, ": the server takes no bytes"));
    }
  }
  co_return absl::OkStatus();
}

asio::awaitable<absl::Status> ResumableUpload::Send(std::string block, std::string crc32c) {
  auto once = [&]() -> asio::awaitable<absl::Status> { return SendRest(block, crc32c); };
  absl::Status sent = co_await remote::RunWithRetries<absl::Status>(client_.clock(), client_.rng(),
                                                                    client_.retry(), once);
  block_start_ += block.size();
  // The session is gone, or the server forgot: worth a whole new try.
  if (absl::IsNotFound(sent) || absl::IsAborted(sent)) {
    co_return absl::UnavailableError(std::string(sent.message()));
  }
  co_return sent;
}

asio::awaitable<void> ResumableUpload::Cancel() {
  if (session_.empty() || finished()) co_return;
  GcsRequest request{.method = "DELETE", .target = session_};
  request.retry = false;
  request.expected = kClientClosed;
  // What cannot be cancelled now is dropped by the server after a week.
  (co_await client_.Call(name_, std::move(request))).status().IgnoreError();
}

}  // namespace boxkeeper::logs::gcs
