#include "logs/azure/testing/fake_blobs.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/crypto/base64.h"
#include "base/crypto/md5.h"
#include "base/percent.h"
#include "logs/remote/xml.h"

namespace boxkeeper::logs::azure {

using base::http::Answer;
using base::http::ReceivedRequest;

namespace {

std::string ValueIn(const std::string& query, const std::string& name) {
  for (absl::string_view part : absl::StrSplit(query, '&')) {
    if (absl::StartsWith(part, name + "=")) {
      return base::PercentDecode(std::string(part.substr(name.size() + 1))).value_or("");
    }
  }
  return "";
}

}  // namespace

std::string HeaderIn(const ReceivedRequest& request, const std::string& name) {
  for (absl::string_view line : absl::StrSplit(request.head, '\n')) {
    if (absl::StartsWithIgnoreCase(line, name + ":")) {
      return std::string(absl::StripAsciiWhitespace(line.substr(name.size() + 1)));
    }
  }
  return "";
}

FakeBlobs::FakeBlobs(boost::asio::io_context& loop)
    : server_(loop,
              [this](const ReceivedRequest& request) {
                if (before) {
                  if (auto answer = before(request)) return *answer;
                }
                Answer answer = Serve(request);
                if (after) after(request, answer);
                return answer;
              },
              {.body_first = true}) {}

Answer FakeBlobs::Make(int status, const std::string& headers, const std::string& body) {
  const std::string when = date.empty() ? "" : absl::StrCat("Date: ", date, "\r\n");
  const std::string length = absl::StrContains(headers, "Content-Length")
                                 ? ""
                                 : absl::StrCat("Content-Length: ", body.size(), "\r\n");
  return {.pieces = {
              absl::StrCat("HTTP/1.1 ", status, " Fake\r\n", when, length, headers, "\r\n", body)}};
}

Answer FakeBlobs::Error(int status, const std::string& code, const std::string& headers) {
  return Make(status,
              absl::StrCat("x-ms-error-code: ", code, "\r\nx-ms-request-id: r1\r\n", headers),
              absl::StrCat("\xEF\xBB\xBF<?xml version=\"1.0\"?><Error><Code>", code,
                           "</Code><Message>It went wrong.\nRequestId:r1</Message></Error>"));
}

Answer FakeBlobs::Serve(const ReceivedRequest& request) {
  const size_t mark = std::min(request.target.find('?'), request.target.size());
  const std::string query = mark == request.target.size() ? "" : request.target.substr(mark + 1);
  const std::string path = base::PercentDecode(request.target.substr(0, mark)).value_or("");
  constexpr char kContainer[] = "/logs";
  if (!path.starts_with(kContainer)) return Error(404, "ContainerNotFound");
  if (path == kContainer) return List(query);
  const std::string name = path.substr(sizeof(kContainer));
  if (request.method == "PUT") return Put(name, query, request);
  if (request.method == "DELETE") {
    return blobs.erase(name) == 1 ? Make(202, "") : Error(404, "BlobNotFound");
  }
  return Get(name, request);
}

Answer FakeBlobs::Put(const std::string& name, const std::string& query,
                      const ReceivedRequest& request) {
  const std::string md5 = HeaderIn(request, "Content-MD5");
  if (!md5.empty() && md5 != base::Base64Encode(base::Md5(request.body))) {
    return Error(400, "Md5Mismatch");
  }
  const std::string operation = ValueIn(query, "comp");
  if (operation == "appendblock") {
    const auto found = blobs.find(name);
    return found == blobs.end() ? Error(404, "BlobNotFound") : Append(found->second, request);
  }
  if (operation == "block") {
    blocks_[ValueIn(query, "blockid")] = request.body;
    return Make(201, "");
  }
  FakeBlob blob;
  if (operation == "blocklist") {
    for (absl::string_view rest = request.body;;) {
      const size_t from = rest.find("<Latest>"), to = rest.find("</Latest>");
      if (to == absl::string_view::npos) break;
      blob.content += blocks_[std::string(rest.substr(from + 8, to - from - 8))];
      rest.remove_prefix(to + 9);
    }
  } else if (const std::string source = HeaderIn(request, "x-ms-copy-source"); !source.empty()) {
    const std::string from = source.substr(source.find("/logs/") + 6);
    blob = blobs[base::PercentDecode(from.substr(0, from.find('?'))).value_or("")];
    blobs[name] = blob;
    return Make(202,
                copy_polls > 0 ? "x-ms-copy-status: pending\r\n" : "x-ms-copy-status: success\r\n");
  } else {
    blob.content = request.body;
    blob.is_append_blob = HeaderIn(request, "x-ms-blob-type") == "AppendBlob";
  }
  blobs[name] = blob;
  return Make(201, "");
}

Answer FakeBlobs::Append(FakeBlob& blob, const ReceivedRequest& request) {
  if (!blob.is_append_blob) return Error(409, "InvalidBlobType");
  if (HeaderIn(request, "x-ms-blob-condition-appendpos") != absl::StrCat(blob.content.size())) {
    return Error(412, "AppendPositionConditionNotMet");
  }
  if (blob.blocks == blocks_max) return Error(409, "BlockCountExceedsLimit");
  blob.content += request.body;
  ++blob.blocks;
  return Make(201, absl::StrCat("x-ms-blob-committed-block-count: ", blob.blocks, "\r\n"));
}

Answer FakeBlobs::Get(const std::string& name, const ReceivedRequest& request) {
  const auto found = blobs.find(name);
  if (found == blobs.end()) {
    return request.method == "HEAD" ? Make(404, "x-ms-error-code: BlobNotFound\r\n")
                                    : Error(404, "BlobNotFound");
  }
  const FakeBlob& blob = found->second;
  if (request.method == "HEAD") {
    const bool pending = copy_polls > 1;
    copy_polls = std::max(copy_polls - 1, 0);
    return Make(
        200, absl::StrCat("Content-Length: ", blob.content.size(),
                          "\r\nx-ms-blob-type: ", blob.is_append_blob ? "AppendBlob" : "BlockBlob",
                          "\r\nx-ms-copy-status: ", pending ? "pending" : "success", "\r\n"));
  }
  size_t from = 0, to = 0;
  sscanf(HeaderIn(request, "x-ms-range").c_str(), "bytes=%zu-%zu", &from, &to);
  if (from >= blob.content.size()) return Error(416, "InvalidRange");
  const std::string body = blob.content.substr(from, to - from + 1);
  return Make(206, absl::StrCat("Content-MD5: ", base::Base64Encode(base::Md5(body)), "\r\n"),
              body);
}

Answer FakeBlobs::List(const std::string& query) {
  constexpr size_t kPage = 2;
  const std::string prefix = ValueIn(query, "prefix"), marker = ValueIn(query, "marker");
  std::string body = "<?xml version=\"1.0\"?><EnumerationResults><Blobs>";
  size_t count = 0;
  std::string next;
  for (const auto& [name, blob] : blobs) {
    if (!name.starts_with(prefix) || name < marker) continue;
    if (count++ == kPage) {
      next = name;
      break;
    }
    absl::StrAppend(&body, "<Blob><Name>", remote::XmlEscape(name),
                    "</Name><Properties><Last-Modified>", blob.modified,
                    "</Last-Modified></Properties></Blob>");
  }
  absl::StrAppend(&body, "</Blobs><NextMarker>", next, "</NextMarker></EnumerationResults>");
  return Make(200, "", body);
}

}  // namespace boxkeeper::logs::azure
