#include "logs/s3/s3_objects.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/hex.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "logs/remote/xml.h"

namespace boxkeeper::logs::s3 {

namespace asio = boost::asio;
using base::http::Reply;
using remote::XmlElement;

namespace {

constexpr char kMark[] = "x-amz-meta-boxkeeper-upload";
constexpr size_t kSmallReply = 64 * 1024;
constexpr size_t kListReply = 8 << 20;  // 1000 keys of 1024 bytes, escaped
constexpr char kPage[] = "1000";

std::string HeaderOf(const Reply& reply, const char* name) {
  const std::string* value = reply.headers.Find(name);
  return value == nullptr ? "" : *value;
}

// Objects that the storage encrypts with a key of its own service or the customer's have ETags that
// are no MD5.
bool HasPlainEtag(const Reply& reply) {
  return !HeaderOf(reply, "x-amz-server-side-encryption").starts_with("aws:kms") &&
         HeaderOf(reply, "x-amz-server-side-encryption-customer-algorithm").empty();
}

// The ETag of what was just stored is its MD5, where it looks like one.
absl::Status CheckEtag(const Reply& reply, const std::string& md5) {
  std::string etag = HeaderOf(reply, "ETag");
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') {
    etag = etag.substr(1, etag.size() - 2);
  }
  const auto stored = base::HexDecode(etag);
  if (md5.empty() || !stored || stored->size() != md5.size() || !HasPlainEtag(reply) ||
      *stored == md5) {
    return absl::OkStatus();
  }
  return absl::UnavailableError("the stored bytes' ETag is not the MD5 of those sent");
}

Call WithPart(Call call, Part part) {
  call.body = std::move(part.data);
  call.body_sha256 = std::move(part.sha256);
  call.body_md5 = part.md5;
  call.reply_bytes_max = kSmallReply;
  call.check = [md5 = std::move(part.md5),
                what = call.method + " " + call.key](const Reply& reply) {
    const absl::Status checked = CheckEtag(reply, md5);
    return checked.ok() ? checked
                        : absl::UnavailableError(
                              absl::StrCat("s3: ", what, ": ", std::string(checked.message())));
  };
  return call;
}

absl::StatusOr<XmlElement> ParseReply(const Reply& reply, const char* root,
                                      const std::string& what) {
  auto parsed = XmlElement::Parse(reply.body);
  if (!parsed.ok() || parsed->name() != root) {
    return absl::UnavailableError(absl::StrCat(what, ": the answer is no ", root));
  }
  return parsed;
}

absl::Status ExpectRoot(const Reply& reply, const char* root, const std::string& what) {
  return ParseReply(reply, root, what).status();
}

}  // namespace

asio::awaitable<absl::Status> PutObject(S3Client& client, std::string key, Part part) {
  Call call{.method = "PUT", .key = std::move(key)};
  auto reply = co_await client.Send(WithPart(std::move(call), std::move(part)));
  co_return reply.status();
}

asio::awaitable<absl::StatusOr<ObjectInfo>> HeadObject(S3Client& client, std::string key) {
  Call call{.method = "HEAD", .key = std::move(key), .reply_bytes_max = kSmallReply};
  const std::string what = client.Describe(call);
  auto reply = co_await client.Send(std::move(call));
  CO_RETURN_IF_ERROR(reply.status());
  ObjectInfo info;
  info.mark = HeaderOf(*reply, kMark);
  if (!absl::SimpleAtoi(HeaderOf(*reply, "Content-Length"), &info.size)) {
    co_return absl::UnavailableError(what + ": the answer has no Content-Length");
  }
  co_return info;
}

asio::awaitable<absl::StatusOr<std::string>> GetObject(S3Client& client, std::string key,
                                                       uint64_t offset, size_t size) {
  if (size == 0) co_return std::string();
  Call call{.key = std::move(key), .reply_bytes_max = size};
  call.headers.Add("Range", absl::StrCat("bytes=", offset, "-", offset + size - 1));
  call.check = [offset, what = client.Describe(call)](const Reply& reply) {
    const std::string range = HeaderOf(reply, "Content-Range");
    const bool right =
        reply.status == 206 ? range.starts_with(absl::StrCat("bytes ", offset, "-")) : offset == 0;
    return right ? absl::OkStatus()
                 : absl::UnavailableError(what + ": the answer is not the range asked for");
  };
  auto reply = co_await client.Send(std::move(call));
  // There is such an object, and it ends before.
  if (absl::IsOutOfRange(reply.status())) co_return std::string();
  CO_RETURN_IF_ERROR(reply.status());
  reply->body.resize(std::min(reply->body.size(), size));
  co_return std::move(reply->body);
}

asio::awaitable<absl::Status> DeleteObject(S3Client& client, std::string key) {
  Call call{.method = "DELETE", .key = std::move(key), .reply_bytes_max = kSmallReply};
  auto reply = co_await client.Send(std::move(call));
  if (absl::IsNotFound(reply.status())) co_return absl::OkStatus();
  co_return reply.status();
}

asio::awaitable<absl::StatusOr<std::vector<std::string>>> ListObjects(S3Client& client,
                                                                      std::string prefix,
                                                                      size_t limit) {
  std::vector<std::string> keys;
  std::string next;
  do {
    Call call{.reply_bytes_max = kListReply};
    call.query = {{"list-type", "2"}, {"max-keys", kPage}, {"prefix", prefix}};
    if (!next.empty()) call.query.emplace_back("continuation-token", next);
    const std::string what = client.Describe(call);
    auto reply = co_await client.Send(std::move(call));
    CO_RETURN_IF_ERROR(reply.status());
    auto root = ParseReply(*reply, "ListBucketResult", what);
    CO_RETURN_IF_ERROR(root.status());
    for (const XmlElement& entry : root->Children("Contents")) keys.push_back(entry.Text("Key"));
    const std::string token = root->Text("NextContinuationToken");
    const bool more = root->Text("IsTruncated") == "true";
    if (more && (token.empty() || token == next)) {
      co_return absl::UnavailableError(what + ": the list has no continuation");
    }
    next = more ? token : "";
  } while (!next.empty() && keys.size() < limit);
  if (keys.size() > limit) keys.resize(limit);
  co_return keys;
}

asio::awaitable<absl::StatusOr<std::string>> BeginUpload(S3Client& client, std::string key,
                                                         std::string mark) {
  Call call{.method = "POST", .key = std::move(key), .query = {{"uploads", ""}}};
  call.headers.Add(kMark, std::move(mark));
  call.reply_bytes_max = kSmallReply;
  const std::string what = client.Describe(call);
  auto reply = co_await client.Send(std::move(call));
  CO_RETURN_IF_ERROR(reply.status());
  auto root = ParseReply(*reply, "InitiateMultipartUploadResult", what);
  CO_RETURN_IF_ERROR(root.status());
  std::string id = root->Text("UploadId");
  if (id.empty()) co_return absl::UnavailableError(what + ": the answer has no UploadId");
  co_return id;
}

asio::awaitable<absl::StatusOr<std::string>> PutPart(S3Client& client, std::string key,
                                                     std::string upload, int number, Part part) {
  Call call{.method = "PUT", .key = std::move(key)};
  call.query = {{"partNumber", absl::StrCat(number)}, {"uploadId", std::move(upload)}};
  auto reply = co_await client.Send(WithPart(std::move(call), std::move(part)));
  CO_RETURN_IF_ERROR(reply.status());
  co_return HeaderOf(*reply, "ETag");
}

asio::awaitable<absl::StatusOr<std::string>> CopyPart(S3Client& client, std::string key,
                                                      std::string upload, int number,
                                                      std::string source, uint64_t from,
                                                      uint64_t to) {
  Call call{.method = "PUT", .key = std::move(key), .reply_bytes_max = kSmallReply};
  call.query = {{"partNumber", absl::StrCat(number)}, {"uploadId", std::move(upload)}};
  call.may_fail_late = true;
  call.headers.Add("x-amz-copy-source", "/" + remote::EncodePath(source));
  call.headers.Add("x-amz-copy-source-range", absl::StrCat("bytes=", from, "-", to - 1));
  const std::string what = client.Describe(call);
  call.check = [what](const Reply& reply) { return ExpectRoot(reply, "CopyPartResult", what); };
  auto reply = co_await client.Send(std::move(call));
  CO_RETURN_IF_ERROR(reply.status());
  auto root = ParseReply(*reply, "CopyPartResult", what);
  CO_RETURN_IF_ERROR(root.status());
  co_return root->Text("ETag");
}

asio::awaitable<absl::Status> CompleteUpload(S3Client& client, std::string key, std::string upload,
                                             std::vector<std::string> etags) {
  std::string body = "<CompleteMultipartUpload>";
  for (size_t i = 0; i < etags.size(); ++i) {
    absl::StrAppend(&body, "<Part><PartNumber>", i + 1, "</PartNumber><ETag>",
                    remote::XmlEscape(etags[i]), "</ETag></Part>");
  }
  body += "</CompleteMultipartUpload>";
  Call call{.method = "POST", .key = std::move(key), .reply_bytes_max = kSmallReply};
  call.query = {{"uploadId", std::move(upload)}};
  call.body_sha256 = base::Sha256(body);
  call.body = std::make_shared<const std::string>(std::move(body));
  call.may_fail_late = true;
  call.headers.Add("Content-Type", "application/xml");
  call.check = [what = client.Describe(call)](const Reply& reply) {
    return ExpectRoot(reply, "CompleteMultipartUploadResult", what);
  };
  auto reply = co_await client.Send(std::move(call));
  co_return reply.status();
}

asio::awaitable<absl::Status> AbortUpload(S3Client& client, std::string key, std::string upload) {
  Call call{.method = "DELETE", .key = std::move(key), .reply_bytes_max = kSmallReply};
  call.query = {{"uploadId", std::move(upload)}};
  auto reply = co_await client.Send(std::move(call));
  if (absl::IsNotFound(reply.status())) co_return absl::OkStatus();
  co_return reply.status();
}

asio::awaitable<absl::StatusOr<std::vector<Upload>>> ListUploads(S3Client& client,
                                                                 std::string prefix) {
  Call call{.reply_bytes_max = kListReply};
  call.query = {{"uploads", ""}, {"max-uploads", kPage}, {"prefix", prefix}};
  const std::string what = client.Describe(call);
  auto reply = co_await client.Send(std::move(call));
  CO_RETURN_IF_ERROR(reply.status());
  auto root = ParseReply(*reply, "ListMultipartUploadsResult", what);
  CO_RETURN_IF_ERROR(root.status());
  std::vector<Upload> uploads;
  for (const XmlElement& entry : root->Children("Upload")) {
    Upload upload{entry.Text("Key"), entry.Text("UploadId"), absl::InfiniteFuture()};
    std::string ignored;
    // One whose age cannot be told is never old.
    if (!absl::ParseTime(absl::RFC3339_full, entry.Text("Initiated"), &upload.began, &ignored)) {
      upload.began = absl::InfiniteFuture();
    }
    if (upload.key.starts_with(prefix) && !upload.id.empty()) uploads.push_back(std::move(upload));
  }
  co_return uploads;
}

}  // namespace boxkeeper::logs::s3
