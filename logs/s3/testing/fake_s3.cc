#include "logs/s3/testing/fake_s3.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/crypto/base64.h"
#include "base/crypto/md5.h"
#include "base/hex.h"
#include "base/percent.h"
#include "base/sha256.h"
#include "logs/remote/xml.h"
#include "logs/s3/sigv4.h"

namespace boxkeeper::logs::s3 {

using base::http::Answer;
using base::http::ReceivedRequest;

namespace {

constexpr char kBucket[] = "/logs";
constexpr absl::Duration kSkewMax = absl::Minutes(15);

std::string Between(const std::string& text, const std::string& start, const std::string& end) {
  const size_t from = text.find(start);
  if (from == std::string::npos) return "";
  const size_t begin = from + start.size();
  return text.substr(begin, text.find(end, begin) - begin);
}

std::string Etag(const std::string& content) {
  return absl::StrCat("\"", base::HexEncode(base::Md5(content)), "\"");
}

}  // namespace

// A request taken apart.
struct FakeS3::Request {
  explicit Request(const ReceivedRequest& received) : raw(received) {
    const size_t mark = std::min(raw.target.find('?'), raw.target.size());
    path = raw.target.substr(0, mark);
    if (mark < raw.target.size()) {
      for (absl::string_view pair : absl::StrSplit(raw.target.substr(mark + 1), '&')) {
        const std::pair<std::string, std::string> parts =
            absl::StrSplit(pair, absl::MaxSplits('=', 1));
        query.emplace_back(*base::PercentDecode(parts.first), *base::PercentDecode(parts.second));
      }
    }
    const std::string whole = base::PercentDecode(path).value_or("");
    if (whole.starts_with(std::string(kBucket) + "/")) key = whole.substr(sizeof(kBucket));
    of_bucket = whole == kBucket;
  }
  std::optional<std::string> Value(const std::string& name) const {
    for (const auto& [key, value] : query) {
      if (key == name) return value;
    }
    return std::nullopt;
  }
  std::string Header(const std::string& name) const { return HeaderIn(raw, name); }

  const ReceivedRequest& raw;
  std::string path;
  remote::Query query;
  std::string key;
  bool of_bucket = false;
};

std::string HeaderIn(const ReceivedRequest& request, const std::string& name) {
  for (absl::string_view line : absl::StrSplit(request.head, '\n')) {
    if (absl::StartsWithIgnoreCase(line, name + ":")) {
      return std::string(absl::StripAsciiWhitespace(line.substr(name.size() + 1)));
    }
  }
  return "";
}

FakeS3::FakeS3(boost::asio::io_context& loop)
    : server_(loop,
              [this](const ReceivedRequest& received) {
                if (before) {
                  if (auto answer = before(received)) return *answer;
                }
                const Request request(received);
                auto refusal = Refusal(request);
                Answer answer = refusal ? *refusal : Serve(request);
                if (after) after(received, answer);
                return answer;
              },
              {.body_first = true}) {}

int FakeS3::Count(const std::string& start) const {
  return static_cast<int>(
      std::count_if(requests().begin(), requests().end(), [&](const ReceivedRequest& request) {
        return absl::StartsWith(absl::StrCat(request.method, " ", request.target), start);
      }));
}

Answer FakeS3::Make(int status, const std::string& headers, const std::string& body) const {
  const std::string date =
      now ? absl::StrCat(
                "Date: ", absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", now(), absl::UTCTimeZone()),
                "\r\n")
          : "";
  const std::string length = absl::StrContains(headers, "Content-Length")
                                 ? ""
                                 : absl::StrCat("Content-Length: ", body.size(), "\r\n");
  return {.pieces = {
              absl::StrCat("HTTP/1.1 ", status, " Fake\r\n", date, length, headers, "\r\n", body)}};
}

Answer FakeS3::Error(int status, const std::string& code, const std::string& more,
                     const std::string& headers) const {
  return Make(status, "x-amz-request-id: R1\r\n" + headers,
              absl::StrCat("<?xml version=\"1.0\"?><Error><Code>", code,
                           "</Code><Message>It went wrong.</Message>", more, "</Error>"));
}

// As S3 does: signature, its time, the payload's hash and MD5.
std::optional<Answer> FakeS3::Refusal(const Request& request) const {
  const std::string authorization = request.Header("Authorization");
  const std::string id = Between(authorization, "Credential=", "/");
  const auto known = keys.find(id);
  if (known == keys.end()) return Error(403, "InvalidAccessKeyId");
  if (known->second.expired) return Error(400, "ExpiredToken");
  if (request.Header("x-amz-security-token") != known->second.token) {
    return Error(400, "InvalidToken");
  }
  if (!absl::StrContains(authorization, "/" + region + "/s3/")) {
    return Error(400, "AuthorizationHeaderMalformed", "<Region>" + region + "</Region>");
  }
  absl::Time time;
  std::string error = request.Header("x-amz-date"), ignored;
  error.insert(13, ":").insert(11, ":").insert(6, "-").insert(4, "-");
  if (!absl::ParseTime(absl::RFC3339_full, error, &time, &ignored)) {
    return Error(403, "AccessDenied");
  }
  if (now && absl::AbsDuration(now() - time) > kSkewMax) return Error(403, "RequestTimeTooSkewed");
  SignedParts parts{request.raw.method,
                    request.path,
                    request.query,
                    {},
                    base::HexEncode(base::Sha256(request.raw.body))};
  if (parts.payload_sha256 != request.Header("x-amz-content-sha256")) {
    return Error(400, "XAmzContentSHA256Mismatch");
  }
  for (absl::string_view name :
       absl::StrSplit(Between(authorization, "SignedHeaders=", ","), ';')) {
    const std::string field(name);
    const bool added = field == "x-amz-date" || field == "x-amz-security-token";
    if (!added) parts.headers.Add(field, request.Header(field));
  }
  Credentials credentials;
  credentials.access_key_id = id;
  credentials.secret_key = ShareSecret(known->second.secret);
  if (!known->second.token.empty()) credentials.session_token = ShareSecret(known->second.token);
  if (*SignV4(parts, {region, "s3"}, credentials, time).Find("Authorization") != authorization) {
    return Error(403, "SignatureDoesNotMatch");
  }
  const std::string md5 = request.Header("Content-MD5");
  if (!md5.empty() && md5 != base::Base64Encode(base::Md5(request.raw.body))) {
    return Error(400, "BadDigest");
  }
  return std::nullopt;
}

Answer FakeS3::Serve(const Request& request) {
  if (request.of_bucket) return OfBucket(request);
  if (request.key.empty()) return Error(404, "NoSuchBucket");
  if (request.Value("uploadId") || request.Value("uploads")) return OfUpload(request);
  if (request.raw.method == "PUT") {
    objects[request.key] = {request.raw.body, ""};
    return Make(200, absl::StrCat("ETag: ", Etag(request.raw.body), "\r\n"));
  }
  if (request.raw.method == "DELETE") {
    objects.erase(request.key);
    return Make(204, "");
  }
  return Get(request);
}

Answer FakeS3::OfBucket(const Request& request) {
  const std::string prefix = request.Value("prefix").value_or("");
  if (request.Value("uploads")) {
    std::string body = "<ListMultipartUploadsResult>";
    for (const auto& [id, upload] : uploads) {
      if (!upload.key.starts_with(prefix)) continue;
      absl::StrAppend(&body, "<Upload><Key>", remote::XmlEscape(upload.key), "</Key><UploadId>", id,
                      "</UploadId><Initiated>", upload.began, "</Initiated></Upload>");
    }
    return Make(200, "", body + "</ListMultipartUploadsResult>");
  }
  std::string body = "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
  const std::string after_key = request.Value("continuation-token").value_or("");
  size_t count = 0;
  for (const auto& [key, object] : objects) {
    if (!key.starts_with(prefix) || key <= after_key) continue;
    if (count == page) {
      absl::StrAppend(&body, "<IsTruncated>true</IsTruncated>");
      break;
    }
    const std::string escaped = remote::XmlEscape(key);
    const bool last = ++count == page;
    absl::StrAppend(&body, "<Contents><Key>", escaped, "</Key></Contents>",
                    last ? "<NextContinuationToken>" + escaped + "</NextContinuationToken>" : "");
  }
  return Make(200, "", body + "</ListBucketResult>");
}

Answer FakeS3::OfUpload(const Request& request) {
  if (request.Value("uploads")) {
    const std::string id = absl::StrCat("up/", next_upload_++, "+=");
    uploads[id] = {
        request.key, request.Header("x-amz-meta-boxkeeper-upload"), "2026-01-01T00:00:00.000Z", {}};
    return Make(200, "",
                absl::StrCat("<InitiateMultipartUploadResult><UploadId>", id,
                             "</UploadId></InitiateMultipartUploadResult>"));
  }
  const auto upload = uploads.find(*request.Value("uploadId"));
  if (upload == uploads.end()) return Error(404, "NoSuchUpload");
  if (request.raw.method == "DELETE") {
    uploads.erase(upload);
    return Make(204, "");
  }
  if (request.raw.method == "POST") return Complete(request);
  std::string& part = upload->second.parts[std::stoi(*request.Value("partNumber"))];
  const std::string source = request.Header("x-amz-copy-source");
  if (source.empty()) {
    part = request.raw.body;
    return Make(200, absl::StrCat("ETag: ", Etag(part), "\r\n"));
  }
  const auto object = objects.find(base::PercentDecode(source)->substr(sizeof(kBucket)));
  if (object == objects.end()) return Error(404, "NoSuchKey");
  unsigned long long from = 0, to = 0;
  sscanf(request.Header("x-amz-copy-source-range").c_str(), "bytes=%llu-%llu", &from, &to);
  part = object->second.content.substr(from, to - from + 1);
  return Make(200, "",
              absl::StrCat("<CopyPartResult><ETag>", remote::XmlEscape(Etag(part)),
                           "</ETag></CopyPartResult>"));
}

Answer FakeS3::Complete(const Request& request) {
  const auto upload = uploads.find(*request.Value("uploadId"));
  const auto root = remote::XmlElement::Parse(request.raw.body);
  std::string content;
  for (const auto& part : root->Children("Part")) {
    const auto stored = upload->second.parts.find(std::stoi(part.Text("PartNumber")));
    if (stored == upload->second.parts.end() || Etag(stored->second) != part.Text("ETag")) {
      return Error(400, "InvalidPart");
    }
    content += stored->second;
  }
  objects[upload->second.key] = {content, upload->second.mark};
  uploads.erase(upload);
  return Make(200, "", "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>");
}

Answer FakeS3::Get(const Request& request) {
  const auto object = objects.find(request.key);
  const bool head = request.raw.method == "HEAD";
  if (object == objects.end()) return head ? Make(404, "") : Error(404, "NoSuchKey");
  const std::string& content = object->second.content;
  if (head) {
    return Make(200,
                absl::StrCat("Content-Length: ", content.size(),
                             "\r\nx-amz-meta-boxkeeper-upload: ", object->second.mark, "\r\n"));
  }
  unsigned long long from = 0, to = 0;
  sscanf(request.Header("Range").c_str(), "bytes=%llu-%llu", &from, &to);
  if (from >= content.size()) return Error(416, "InvalidRange");
  const std::string part = content.substr(from, to - from + 1);
  return Make(206,
              absl::StrCat("Content-Range: bytes ", from, "-", from + part.size() - 1, "/",
                           content.size(), "\r\n"),
              part);
}

}  // namespace boxkeeper::logs::s3
