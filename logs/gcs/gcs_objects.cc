#include "logs/gcs/gcs_objects.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "base/status_macros.h"
#include "logs/gcs/json.h"
#include "logs/gcs/resumable_upload.h"
#include "logs/remote/encode.h"

namespace boxkeeper::logs::gcs {

namespace asio = boost::asio;
namespace http = base::http;
namespace json = boost::json;

namespace {

constexpr char kType[] = "application/octet-stream";
constexpr size_t kListReply = 16 << 20;
constexpr size_t kReplySlack = 64 * 1024;
constexpr int kPageSize = 1000;
constexpr int kPreconditionFailed = 412;

std::string With(const std::string& target, const remote::Query& query) {
  return absl::StrCat(target, "?", remote::EncodeQuery(query));
}

// The CRC-32C of the whole object, in X-Goog-Hash: "crc32c=...,md5=..." or a field for each.
std::string HashOf(const http::Headers& headers) {
  constexpr char kName[] = "crc32c=";
  for (const auto& [name, value] : headers.fields()) {
    if (!absl::EqualsIgnoreCase(name, "x-goog-hash")) continue;
    const size_t at = value.find(kName);
    if (at == std::string::npos) continue;
    const size_t from = at + sizeof(kName) - 1;
    return value.substr(from, value.find(',', from) - from);
  }
  return "";
}

// True if the answer is the whole object: its checksum can be compared.
bool IsWhole(const http::Reply& reply, uint64_t offset) {
  if (reply.status == 200) return true;
  const std::string* range = reply.headers.Find("Content-Range");  // "bytes 0-9/10"
  const size_t slash = range == nullptr ? std::string::npos : range->find('/');
  return offset == 0 && slash != std::string::npos &&
         range->substr(slash + 1) == absl::StrCat(reply.body.size());
}

absl::Status CheckBytes(const std::string& name, const http::Reply& reply, uint64_t offset,
                        size_t size) {
  if (reply.status == 200 && offset > 0) {
    return absl::UnavailableError(absl::StrCat(name, ": the whole object came for a range"));
  }
  if (reply.body.size() > size && reply.status != 200) {
    return absl::UnavailableError(absl::StrCat(name, ": the answer has more bytes than asked for"));
  }
  const std::string hash = HashOf(reply.headers);
  if (hash.empty() || !IsWhole(reply, offset)) return absl::OkStatus();
  if (hash == base::Crc32cText(base::Crc32c(reply.body))) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(name, ": the bytes do not have the answer's CRC-32C"));
}

// Of bytes that a generated boundary of this length does not occur in, for all practical purposes.
std::string MultipartBody(const std::string& boundary, const std::string& metadata,
                          const std::string& data) {
  return absl::StrCat("--", boundary, "\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n",
                      metadata, "\r\n--", boundary, "\r\nContent-Type: ", kType, "\r\n\r\n", data,
                      "\r\n--", boundary, "--\r\n");
}

}  // namespace

absl::StatusOr<ObjectState> ParseState(const std::string& what, const std::string& body) {
  const auto parsed = ParseJson(body);
  ObjectState state;
  if (!parsed.ok() || !absl::SimpleAtoi(TextAt(*parsed, "size"), &state.size)) {
    return absl::UnavailableError(absl::StrCat(what, ": the answer describes no object"));
  }
  state.generation = TextAt(*parsed, "generation");
  state.crc32c = TextAt(*parsed, "crc32c");
  return state;
}

asio::awaitable<absl::StatusOr<ObjectState>> GcsObjects::Stat(std::string name) {
  GcsRequest request{.target =
                         With(client_.ObjectTarget(name), {{"fields", "size,generation,crc32c"}})};
  auto reply = co_await client_.Call(name, std::move(request));
  CO_RETURN_IF_ERROR(reply.status());
  co_return ParseState(name, reply->body);
}

asio::awaitable<absl::StatusOr<std::string>> GcsObjects::ReadRange(std::string name,
                                                                   uint64_t offset, size_t size,
                                                                   std::string generation) {
  if (size == 0) {
    auto state = co_await Stat(std::move(name));
    CO_RETURN_IF_ERROR(state.status());
    co_return std::string();
  }
  remote::Query query = {{"alt", "media"}};
  if (!generation.empty()) query.push_back({"generation", generation});
  GcsRequest request{.target = With(client_.ObjectTarget(name), query)};
  request.headers.Set("Range", absl::StrCat("bytes=", offset, "-", offset + size - 1));
  request.reply_bytes_max = size + kReplySlack;
  request.check = [name, offset, size](const http::Reply& reply) {
    return CheckBytes(name, reply, offset, size);
  };
  auto reply = co_await client_.Call(name, std::move(request));
  if (absl::IsOutOfRange(reply.status())) co_return std::string();  // at the end
  CO_RETURN_IF_ERROR(reply.status());
  co_return reply->body.substr(0, size);
}

asio::awaitable<absl::StatusOr<uint32_t>> GcsObjects::UploadAtOnce(std::string name,
                                                                   std::string data) {
  const uint32_t crc = base::Crc32c(data);
  const std::string text = base::Crc32cText(crc);
  const std::string boundary = absl::StrCat("boxkeeper-", client_.rng().NewId().ToString());
  const json::object metadata = {{"name", name}, {"contentType", kType}, {"crc32c", text}};
  GcsRequest request{.method = "POST"};
  request.target =
      With(client_.upload(), {{"uploadType", "multipart"}, {"fields", "size,generation,crc32c"}});
  request.headers.Set("Content-Type", absl::StrCat("multipart/related; boundary=", boundary));
  request.body = MultipartBody(boundary, json::serialize(metadata), data);
  request.check = [name, text](const http::Reply& reply) -> absl::Status {
    ASSIGN_OR_RETURN(const ObjectState state, ParseState(name, reply.body));
    if (state.crc32c.empty() || state.crc32c == text) return absl::OkStatus();
    return absl::UnavailableError(absl::StrCat(name, ": what was stored has another CRC-32C"));
  };
  auto reply = co_await client_.Call(name, std::move(request));
  CO_RETURN_IF_ERROR(reply.status());
  co_return crc;
}

asio::awaitable<absl::StatusOr<uint32_t>> GcsObjects::Upload(std::string name, uint64_t size,
                                                             BlockSource source) {
  if (size <= block_bytes_) {
    auto data = co_await source(block_bytes_ + 1);
    CO_RETURN_IF_ERROR(data.status());
    co_return co_await UploadAtOnce(std::move(name), *std::move(data));
  }
  ResumableUpload upload(client_, name, size);
  absl::Status status = co_await upload.Begin();
  uint32_t crc = 0;
  while (status.ok() && !upload.finished()) {
    auto block = co_await source(block_bytes_);
    status = block.status();
    if (!status.ok()) break;
    crc = base::ExtendCrc32c(crc, *block);
    status = co_await upload.Send(*std::move(block), base::Crc32cText(crc));
  }
  if (!status.ok()) {
    co_await upload.Cancel();
    co_return status;
  }
  const auto state = ParseState(name, upload.result());
  const std::string stored = state.ok() ? state->crc32c : "";
  if (!stored.empty() && stored != base::Crc32cText(crc)) {
    (co_await Delete(name)).IgnoreError();
    co_return absl::UnavailableError(absl::StrCat(name, ": what was stored has another CRC-32C"));
  }
  co_return crc;
}

asio::awaitable<absl::StatusOr<bool>> GcsObjects::Compose(std::string name, std::string generation,
                                                          std::string tail) {
  const json::object body = {
      {"sourceObjects", json::array({json::object({{"name", name}, {"generation", generation}}),
                                     json::object({{"name", tail}})})},
      {"destination", json::object({{"contentType", kType}})}};
  GcsRequest request{.method = "POST"};
  request.target = With(client_.ObjectTarget(name) + "/compose",
                        {{"ifGenerationMatch", generation}, {"fields", "size,generation,crc32c"}});
  request.headers.Set("Content-Type", "application/json");
  request.body = json::serialize(body);
  request.expected = kPreconditionFailed;
  auto reply = co_await client_.Call(name, std::move(request));
  CO_RETURN_IF_ERROR(reply.status());
  co_return reply->status != kPreconditionFailed;
}

asio::awaitable<absl::Status> GcsObjects::Delete(std::string name) {
  GcsRequest request{.method = "DELETE", .target = client_.ObjectTarget(name)};
  auto reply = co_await client_.Call(name, std::move(request));
  co_return absl::IsNotFound(reply.status()) ? absl::OkStatus() : reply.status();
}

asio::awaitable<absl::StatusOr<std::vector<ListedObject>>> GcsObjects::List(std::string prefix,
                                                                            size_t max) {
  std::vector<ListedObject> objects;
  std::string page_token;
  do {
    remote::Query query = {{"prefix", prefix},
                           {"maxResults", absl::StrCat(kPageSize)},
                           {"fields", "items(name,updated),nextPageToken"}};
    if (!page_token.empty()) query.push_back({"pageToken", page_token});
    GcsRequest request{.target = With(client_.objects(), query), .reply_bytes_max = kListReply};
    auto reply = co_await client_.Call(absl::StrCat("list ", prefix), std::move(request));
    // Only a bucket that is not there has no list.
    if (absl::IsNotFound(reply.status())) {
      co_return absl::InvalidArgumentError(std::string(reply.status().message()));
    }
    CO_RETURN_IF_ERROR(reply.status());
    auto page = ParseJson(reply->body);
    CO_RETURN_IF_ERROR(page.status());
    const json::value* items = page->if_contains("items");
    if (items != nullptr && items->is_array()) {
      for (const json::value& item : items->as_array()) {
        if (!item.is_object()) continue;
        ListedObject object{.name = TextAt(item.as_object(), "name")};
        absl::ParseTime(absl::RFC3339_full, TextAt(item.as_object(), "updated"), &object.updated,
                        nullptr);
        objects.push_back(std::move(object));
      }
    }
    page_token = TextAt(*page, "nextPageToken");
  } while (!page_token.empty() && objects.size() < max);
  const auto by_name = [](const ListedObject& a, const ListedObject& b) { return a.name < b.name; };
  std::sort(objects.begin(), objects.end(), by_name);
  if (objects.size() > max) objects.resize(max);
  co_return objects;
}

}  // namespace boxkeeper::logs::gcs
