#include "logs/azure/blob_calls.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/crypto/base64.h"
#include "base/crypto/md5.h"
#include "base/status_macros.h"
#include "logs/remote/xml.h"

namespace boxkeeper::logs::azure {

namespace asio = boost::asio;
namespace http = base::http;

namespace {

constexpr size_t kSmallReply = 256 * 1024;
constexpr size_t kListReply = 32 << 20;
constexpr int kPageSize = 5000;
// Azure gives the MD5 of a range up to this.
constexpr size_t kCheckedRange = 4 << 20;
constexpr char kAppendBlob[] = "AppendBlob";
constexpr std::chrono::milliseconds kCopyPoll{500};
// A copy within an account is done at once; one that is not is waited for.
constexpr int kCopyPolls = 1200;

std::string HeaderOf(const http::Reply& reply, std::string_view name) {
  const std::string* value = reply.headers.Find(name);
  return value != nullptr ? *value : "";
}

// All of the same length, as Azure asks for.
std::string BlockId(uint32_t index) {
  return base::Base64Encode(absl::StrFormat("boxkeeper-%08d", index));
}

absl::Status CheckRange(const std::string& blob, const http::Reply& reply, size_t size) {
  if (reply.body.size() > size) {
    return absl::UnavailableError(absl::StrCat(blob, ": the answer has more bytes than asked for"));
  }
  const std::string* md5 = reply.headers.Find("Content-MD5");
  if (md5 == nullptr || size > kCheckedRange) return absl::OkStatus();
  const std::string own = base::Md5(reply.body);
  if (own.empty() || base::Base64Encode(own) == *md5) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(blob, ": the bytes do not have the MD5 of the answer"));
}

}  // namespace

asio::awaitable<absl::StatusOr<BlobState>> BlobCalls::Properties(std::string blob) {
  auto reply = co_await client_.Call(blob, {.method = "HEAD", .blob = blob}, kSmallReply);
  CO_RETURN_IF_ERROR(reply.status());
  BlobState state;
  if (!absl::SimpleAtoi(HeaderOf(*reply, "Content-Length"), &state.length)) {
    co_return absl::UnavailableError(absl::StrCat(blob, ": properties without a length"));
  }
  state.is_append_blob = HeaderOf(*reply, "x-ms-blob-type") == kAppendBlob;
  co_return state;
}

asio::awaitable<absl::StatusOr<std::string>> BlobCalls::ReadRange(std::string blob, uint64_t offset,
                                                                  size_t size) {
  if (size == 0) {
    auto state = co_await Properties(std::move(blob));
    CO_RETURN_IF_ERROR(state.status());
    co_return std::string();
  }
  BlobRequest request{.blob = blob};
  request.headers.Set("x-ms-range", absl::StrCat("bytes=", offset, "-", offset + size - 1));
  if (size <= kCheckedRange) request.headers.Set("x-ms-range-get-content-md5", "true");
  // A range that begins behind an empty blob is answered by all of it: nothing.
  const auto is_nothing = [offset](const http::Reply& reply) {
    return reply.status == 200 && offset > 0;
  };
  request.check = [blob, size, is_nothing](const http::Reply& reply) {
    return is_nothing(reply) ? absl::OkStatus() : CheckRange(blob, reply, size);
  };
  auto reply = co_await client_.Call(blob, std::move(request), size + kSmallReply);
  if (absl::IsOutOfRange(reply.status())) co_return std::string();  // at the end
  CO_RETURN_IF_ERROR(reply.status());
  if (is_nothing(*reply)) co_return std::string();
  co_return std::move(reply->body);
}

asio::awaitable<absl::Status> BlobCalls::BeginAppendBlob(std::string blob) {
  BlobRequest request{.method = "PUT", .blob = blob};
  request.headers.Set("x-ms-blob-type", kAppendBlob);
  request.headers.Set("x-ms-blob-content-type", "application/octet-stream");
  auto reply = co_await client_.Call(blob, std::move(request), kSmallReply);
  co_return reply.status();
}

asio::awaitable<absl::StatusOr<Appended>> BlobCalls::Append(std::string blob, uint64_t offset,
                                                            std::string data) {
  BlobRequest request{.method = "PUT", .blob = blob, .query = {{"comp", "appendblock"}}};
  request.headers.Set("x-ms-blob-condition-appendpos", absl::StrCat(offset));
  request.body = data;
  auto reply = co_await client_.Call(blob, std::move(request), kSmallReply);
  if (reply.ok()) co_return Appended::kDone;
  const std::string code = ErrorCodeOf(reply.status());
  if (code == "AppendPositionConditionNotMet") {
    co_return co_await CompareAppended(std::move(blob), offset, std::move(data));
  }
  if (code == "BlockCountExceedsLimit") co_return Appended::kFull;
  if (code == "InvalidBlobType" || absl::IsNotFound(reply.status())) co_return Appended::kShort;
  co_return reply.status();
}

asio::awaitable<absl::StatusOr<Appended>> BlobCalls::CompareAppended(std::string blob,
                                                                     uint64_t offset,
                                                                     std::string data) {
  auto state = co_await Properties(blob);
  if (absl::IsNotFound(state.status())) co_return Appended::kShort;
  CO_RETURN_IF_ERROR(state.status());
  if (state->length < offset) co_return Appended::kShort;
  auto there = co_await ReadRange(blob, offset, data.size());
  CO_RETURN_IF_ERROR(there.status());
  if (!data.starts_with(*there)) co_return Appended::kDiffers;
  if (there->size() == data.size()) co_return Appended::kDone;
  // A part of the bytes: blocks are stored whole or not at all, so an earlier call was cut
  // elsewhere.
  if (state->length != offset + there->size()) co_return Appended::kDiffers;
  if (there->empty())
    co_return absl::UnavailableError(absl::StrCat(blob, ": it changes while it is written"));
  co_return co_await Append(std::move(blob), state->length, data.substr(there->size()));
}

asio::awaitable<absl::Status> BlobCalls::PutBlob(std::string blob, std::string data) {
  BlobRequest request{.method = "PUT", .blob = blob};
  request.headers.Set("x-ms-blob-type", "BlockBlob");
  request.body = std::move(data);
  auto reply = co_await client_.Call(blob, std::move(request), kSmallReply);
  co_return reply.status();
}

asio::awaitable<absl::Status> BlobCalls::PutBlock(std::string blob, uint32_t index,
                                                  std::string data) {
  BlobRequest request{
      .method = "PUT", .blob = blob, .query = {{"comp", "block"}, {"blockid", BlockId(index)}}};
  request.body = std::move(data);
  auto reply = co_await client_.Call(blob, std::move(request), kSmallReply);
  co_return reply.status();
}

asio::awaitable<absl::Status> BlobCalls::CommitBlocks(std::string blob, uint32_t count) {
  BlobRequest request{.method = "PUT", .blob = blob, .query = {{"comp", "blocklist"}}};
  request.headers.Set("Content-Type", "application/xml");
  request.headers.Set("x-ms-blob-content-type", "application/octet-stream");
  request.body = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<BlockList>";
  for (uint32_t i = 0; i < count; ++i) {
    absl::StrAppend(&request.body, "<Latest>", BlockId(i), "</Latest>");
  }
  request.body += "</BlockList>";
  auto reply = co_await client_.Call(blob, std::move(request), kSmallReply);
  co_return reply.status();
}

asio::awaitable<absl::Status> BlobCalls::Copy(std::string from, std::string to) {
  auto source = co_await client_.SourceUrl(from);
  CO_RETURN_IF_ERROR(source.status());
  BlobRequest request{.method = "PUT", .blob = to};
  request.headers.Set("x-ms-copy-source", std::string(source->view()));
  auto reply = co_await client_.Call(to, std::move(request), kSmallReply);
  for (int polls = 0; polls < kCopyPolls; ++polls) {
    CO_RETURN_IF_ERROR(reply.status());
    const std::string copied = HeaderOf(*reply, "x-ms-copy-status");
    if (copied == "success") co_return absl::OkStatus();
    if (copied != "pending") break;
    absl::Status slept = co_await client_.clock().SleepUntil(client_.clock().Boot() + kCopyPoll);
    CO_RETURN_IF_ERROR(slept);
    reply = co_await client_.Call(to, {.method = "HEAD", .blob = to}, kSmallReply);
  }
  co_return absl::UnavailableError(absl::StrCat(to, ": the server's copy did not come to its end"));
}

asio::awaitable<absl::Status> BlobCalls::Delete(std::string blob) {
  BlobRequest request{.method = "DELETE", .blob = blob};
  request.headers.Set("x-ms-delete-snapshots", "include");
  auto reply = co_await client_.Call(blob, std::move(request), kSmallReply);
  co_return absl::IsNotFound(reply.status()) ? absl::OkStatus() : reply.status();
}

asio::awaitable<absl::StatusOr<std::vector<ListedBlob>>> BlobCalls::List(std::string prefix,
                                                                         size_t max) {
  std::vector<ListedBlob> blobs;
  std::string marker;
  do {
    BlobRequest request{.query = {{"restype", "container"},
                                  {"comp", "list"},
                                  {"maxresults", absl::StrCat(kPageSize)},
                                  {"prefix", prefix}}};
    if (!marker.empty()) request.query.push_back({"marker", marker});
    auto reply =
        co_await client_.Call(absl::StrCat("list ", prefix), std::move(request), kListReply);
    CO_RETURN_IF_ERROR(reply.status());
    auto page = remote::XmlElement::Parse(reply->body);
    if (!page.ok() || page->name() != "EnumerationResults") {
      co_return absl::UnavailableError(absl::StrCat("list ", prefix, ": the answer is no list"));
    }
    for (const remote::XmlElement& list : page->Children("Blobs")) {
      for (const remote::XmlElement& blob : list.Children("Blob")) {
        const auto modified = remote::ParseHttpDate(blob.Text("Properties/Last-Modified"));
        blobs.push_back({blob.Text("Name"), modified.value_or(absl::InfiniteFuture())});
      }
    }
    marker = page->Text("NextMarker");
  } while (!marker.empty() && blobs.size() < max);
  const auto by_name = [](const ListedBlob& a, const ListedBlob& b) { return a.name < b.name; };
  std::sort(blobs.begin(), blobs.end(), by_name);
  if (blobs.size() > max) blobs.resize(max);
  co_return blobs;
}

}  // namespace boxkeeper::logs::azure
