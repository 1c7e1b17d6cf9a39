#include "logs/gcs/testing/fake_gcs.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/crc32c.h"
#include "base/percent.h"

namespace boxkeeper::logs::gcs {

namespace json = boost::json;
using base::http::Answer;
using base::http::ReceivedRequest;

namespace {

constexpr char kObjects[] = "/storage/v1/b/logs/o";

std::string Decoded(const std::string& text) { return base::PercentDecode(text).value_or(""); }

std::string PathOf(const ReceivedRequest& request) {
  return request.target.substr(0, request.target.find('?'));
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

std::string ParameterIn(const ReceivedRequest& request, const std::string& name) {
  const size_t mark = request.target.find('?');
  if (mark == std::string::npos) return "";
  for (absl::string_view part : absl::StrSplit(request.target.substr(mark + 1), '&')) {
    if (absl::StartsWith(part, name + "=")) {
      return Decoded(std::string(part.substr(name.size() + 1)));
    }
  }
  return "";
}

FakeGcs::FakeGcs(boost::asio::io_context& loop)
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

int FakeGcs::Count(const std::string& part) const {
  return static_cast<int>(
      std::count_if(requests().begin(), requests().end(), [&](const ReceivedRequest& request) {
        return absl::StrContains(request.method + " " + request.target, part);
      }));
}

Answer FakeGcs::Make(int status, const std::string& headers, const std::string& body) {
  const std::string when = date.empty() ? "" : absl::StrCat("Date: ", date, "\r\n");
  return {.pieces = {absl::StrCat("HTTP/1.1 ", status, " Fake\r\n", when,
                                  "Content-Length: ", body.size(), "\r\n", headers, "\r\n", body)}};
}

Answer FakeGcs::Error(int status, const std::string& reason, const std::string& message) {
  return Make(status, "",
              absl::StrCat("{\"error\":{\"code\":", status, ",\"message\":\"", message,
                           "\",\"errors\":[{\"reason\":\"", reason, "\"}]}}"));
}

std::string FakeGcs::Describe(const std::string& name) const {
  const Object& object = objects.at(name);
  return json::serialize(json::object({{"name", name},
                                       {"size", absl::StrCat(object.content.size())},
                                       {"generation", absl::StrCat(object.generation)},
                                       {"crc32c", base::Crc32cText(base::Crc32c(object.content))},
                                       {"updated", object.updated}}));
}

Answer FakeGcs::Store(const std::string& name, const std::string& content) {
  objects[name] = {.content = content, .generation = ++generation_};
  return Make(200, "", Describe(name));
}

Answer FakeGcs::Serve(const ReceivedRequest& request) {
  const std::string path = PathOf(request);
  if (path == "/token") {
    return Make(200, "",
                absl::StrCat("{\"access_token\":\"token-", ++tokens,
                             "\",\"expires_in\":3600,\"token_type\":\"Bearer\"}"));
  }
  if (tokens > 0 && HeaderIn(request, "Authorization") != absl::StrCat("Bearer token-", tokens)) {
    return Error(401, "authError", "Invalid Credentials");
  }
  if (path == absl::StrCat("/upload", kObjects)) return Upload(request);
  if (path == kObjects) return List(request);
  if (!path.starts_with(kObjects)) {
    return Error(404, "notFound", "The specified bucket does not exist.");
  }
  std::string name = path.substr(sizeof(kObjects));
  if (name.ends_with("/compose")) {
    return Compose(Decoded(name.substr(0, name.rfind('/'))), request);
  }
  return Get(Decoded(name), request);
}

Answer FakeGcs::Upload(const ReceivedRequest& request) {
  if (ParameterIn(request, "uploadType") == "multipart") {
    const std::string type = HeaderIn(request, "Content-Type");
    const std::string mark = "--" + type.substr(type.find("boundary=") + 9);
    const std::vector<std::string> parts = absl::StrSplit(request.body, mark);
    const auto metadata = json::parse(parts.at(1).substr(parts[1].find("\r\n\r\n") + 4));
    std::string data = parts.at(2).substr(parts[2].find("\r\n\r\n") + 4);
    data.resize(data.size() - 2);
    const std::string crc(metadata.at("crc32c").as_string());
    if (crc != base::Crc32cText(base::Crc32c(data))) return Error(400, "invalid", "checksum");
    return Store(std::string(metadata.at("name").as_string()), data);
  }
  if (request.method != "POST") return Resume(request);
  const std::string session = absl::StrCat(ParameterIn(request, "name"), "#", uploads.size());
  uploads[session] = "";
  return Make(200,
              absl::StrCat("Location: ", url(), "/upload", kObjects,
                           "?upload_id=", base::PercentEncode(session), "\r\n"),
              "");
}

Answer FakeGcs::Resume(const ReceivedRequest& request) {
  const std::string session = ParameterIn(request, "upload_id");
  const auto upload = uploads.find(session);
  if (upload == uploads.end()) return Error(404, "notFound", "No such upload.");
  if (request.method == "DELETE") {
    uploads.erase(upload);
    return Make(499, "", "");
  }
  std::string& content = upload->second;
  const std::string asked = HeaderIn(request, "Content-Range");
  size_t first = 0, last = 0, total = 0;
  if (sscanf(asked.c_str(), "bytes %zu-%zu/%zu", &first, &last, &total) == 3) {
    if (first != content.size() || last + 1 - first != request.body.size()) {
      return Error(400, "badRequest", "not the next bytes");
    }
    content += request.body;
  } else {
    sscanf(asked.c_str(), "bytes */%zu", &total);
  }
  if (content.size() == total) {
    const std::string whole = content;
    uploads.erase(upload);
    return Store(session.substr(0, session.rfind('#')), whole);
  }
  return Make(
      308, content.empty() ? "" : absl::StrCat("Range: bytes=0-", content.size() - 1, "\r\n"), "");
}

Answer FakeGcs::Compose(const std::string& name, const ReceivedRequest& request) {
  const auto found = objects.find(name);
  if (found == objects.end()) return Error(404, "notFound", "No such object");
  if (ParameterIn(request, "ifGenerationMatch") != absl::StrCat(found->second.generation)) {
    return Error(412, "conditionNotMet", "no");
  }
  const auto body = json::parse(request.body);
  std::string content;
  for (const json::value& source : body.at("sourceObjects").as_array()) {
    content += objects[std::string(source.at("name").as_string())].content;
  }
  return Store(name, content);
}

Answer FakeGcs::Get(const std::string& name, const ReceivedRequest& request) {
  const auto found = objects.find(name);
  if (found == objects.end()) return Make(404, "", "No such object: logs/" + name);
  if (request.method == "DELETE") {
    objects.erase(found);
    return Make(204, "", "");
  }
  if (ParameterIn(request, "alt") != "media") return Make(200, "", Describe(name));
  const std::string& content = found->second.content;
  size_t from = 0, to = 0;
  sscanf(HeaderIn(request, "Range").c_str(), "bytes=%zu-%zu", &from, &to);
  if (from >= content.size()) return Error(416, "requestedRangeNotSatisfiable", "no");
  const std::string body = content.substr(from, to + 1 - from);
  return Make(206,
              absl::StrCat("X-Goog-Hash: crc32c=", base::Crc32cText(base::Crc32c(content)),
                           "\r\nContent-Range: bytes ", from, "-", from + body.size() - 1, "/",
                           content.size(), "\r\n"),
              body);
}

Answer FakeGcs::List(const ReceivedRequest& request) {
  constexpr int kPage = 2;
  const std::string prefix = ParameterIn(request, "prefix"),
                    token = ParameterIn(request, "pageToken");
  json::array items;
  json::object page;
  for (const auto& [name, object] : objects) {
    if (!name.starts_with(prefix) || name < token) continue;
    if (items.size() == kPage) {
      page["nextPageToken"] = name;
      break;
    }
    items.push_back(json::parse(Describe(name)));
  }
  page["items"] = items;
  return Make(200, "", json::serialize(page));
}

}  // namespace boxkeeper::logs::gcs
