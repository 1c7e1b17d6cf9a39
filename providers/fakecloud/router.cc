#include "providers/fakecloud/router.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/percent.h"
#include "providers/fakecloud/server_wire.h"
#include "providers/fakecloud/wire.h"
#include "providers/runtime/api_client.h"

namespace boxkeeper::providers::fakecloud {

namespace json = boost::json;
using testing::Verb;

namespace {

constexpr size_t kBodyBytesMax = 8 * 1024 * 1024;

HttpAnswer Json(int status, const json::object& body) { return {status, json::serialize(body)}; }

HttpAnswer NotFound() { return ErrorAnswer(404, kCodeNotFound, "no such sandbox"); }

// An error of the world as this API says it.
HttpAnswer AnswerOf(const pb::ProviderError& error) {
  switch (error.error_class()) {
    case pb::CAPACITY:
      return ErrorAnswer(503, kCodeCapacity, error.message());
    case pb::QUOTA:
      return ErrorAnswer(429, kCodeQuota, error.message());
    case pb::NOT_FOUND:
      return NotFound();
    case pb::INVALID:
      return ErrorAnswer(409, "refused", error.message());
    default:
      return ErrorAnswer(500, "internal", error.message());
  }
}

HttpAnswer ViewAnswer(const pb::SandboxView& view) {
  if (view.state() == pb::SandboxView::ABSENT) return NotFound();
  return Json(200, SandboxToJson(view));
}

HttpAnswer Create(const RouterDeps& deps, const pb::CreateRequest& request) {
  const auto outcome = deps.world.Create(request);
  if (!outcome.ok()) {
    const pb::ProviderError error = ErrorOf(outcome.status());
    if (error.error_class() != pb::INVALID) return AnswerOf(error);
    return ErrorAnswer(409, kCodeTaken, error.message());
  }
  json::object body = SandboxToJson(deps.world.Inspect(outcome->handle()));
  body["existed"] = outcome->adopted();
  return Json(outcome->adopted() ? 200 : 201, body);
}

bool HasLabel(const pb::SandboxView& view, const std::string& wanted) {
  const std::pair<std::string, std::string> parts = absl::StrSplit(wanted, absl::MaxSplits('=', 1));
  const auto found = view.labels().find(parts.first);
  if (found == view.labels().end()) return false;
  return wanted.find('=') == std::string::npos || found->second == parts.second;
}

HttpAnswer List(const RouterDeps& deps, const std::map<std::string, std::string>& query) {
  const auto value = [&](const char* key) {
    const auto found = query.find(key);
    return found == query.end() ? std::string() : found->second;
  };
  const pb::ListPage page = ListOnePage(deps.world, deps.faults, deps.options, value("cursor"));
  json::array rows;
  for (const pb::SandboxView& view : page.sandboxes()) {
    if (value("label").empty() || HasLabel(view, value("label"))) {
      rows.emplace_back(SandboxToJson(view));
    }
  }
  return Json(200, {{"sandboxes", std::move(rows)}, {"next_cursor", page.next_cursor()}});
}

HttpAnswer Output(const RouterDeps& deps, const std::string& id,
                  std::map<std::string, std::string> query) {
  int64_t offset = 0;
  int64_t limit = 0;
  constexpr int64_t kPieceMax = 1024 * 1024;
  if (!absl::SimpleAtoi(query["offset"], &offset) || !absl::SimpleAtoi(query["limit"], &limit) ||
      offset < 0 || limit < 0) {
    return ErrorAnswer(400, "bad_request", "offset and limit must be numbers");
  }
  const auto chunk = deps.world.ReadOutput(id, query["exec_id"], query["stream"], offset,
                                           std::min(limit, kPieceMax));
  if (!chunk.ok()) return ErrorAnswer(404, kCodeNoExecution, "no such execution");
  HttpAnswer answer{200, chunk->data(), "application/octet-stream"};
  answer.headers["X-Output-End"] = chunk->end() ? "true" : "false";
  return answer;
}

HttpAnswer Start(const RouterDeps& deps, const std::string& id, const pb::LaunchRequest& launch) {
  if (deps.world.options().one_step) {
    return ErrorAnswer(405, "one_step", "a sandbox is started by its creation");
  }
  const pb::StartOutcome outcome = deps.world.Start(id, launch);
  return outcome.has_error() ? AnswerOf(outcome.error()) : Json(200, StartToJson(outcome));
}

HttpAnswer Signal(const RouterDeps& deps, const std::string& id, const json::value& body) {
  const json::object* fields = body.if_object();
  const auto* force = fields == nullptr ? nullptr : fields->if_contains("force");
  const auto* grace = fields == nullptr ? nullptr : fields->if_contains("grace_ms");
  const bool exists = deps.world.Inspect(id).state() != pb::SandboxView::ABSENT;
  const int64_t millis = grace != nullptr && grace->is_int64() ? grace->as_int64() : 0;
  deps.world.Signal(id, force != nullptr && force->is_bool() && force->as_bool(),
                    std::chrono::milliseconds(millis));
  return exists ? Json(202, {}) : NotFound();
}

HttpAnswer Destroy(const RouterDeps& deps, const std::string& id) {
  const bool exists = deps.world.Inspect(id).state() != pb::SandboxView::ABSENT;
  deps.world.Destroy(id);
  return exists ? HttpAnswer{204} : NotFound();
}

HttpAnswer Fence(const RouterDeps& deps, const std::string& id) {
  const absl::Status fenced = deps.world.Fence(id);
  return Json(200, {{"fenced", fenced.ok()}, {"message", std::string(fenced.message())}});
}

HttpAnswer BadRequest(const absl::Status& status) {
  return ErrorAnswer(400, "bad_request", std::string(status.message()));
}

// /v1/sandboxes/ID/ACTION with a body.
std::variant<Route, HttpAnswer> PostRoute(const std::string& id, const std::string& action,
                                          const json::value& body, RouterDeps deps) {
  if (action == "start") {
    auto launch = LaunchFromJson(body);
    if (!launch.ok()) return BadRequest(launch.status());
    return Route{Verb::kStart, [=] { return Start(deps, id, *launch); }};
  }
  if (action == "signal") return Route{Verb::kSignal, [=] { return Signal(deps, id, body); }};
  if (action == "fence") return Route{Verb::kFence, [=] { return Fence(deps, id); }};
  return ErrorAnswer(404, "no_route", "no such path");
}

}  // namespace

HttpAnswer ErrorAnswer(int status, const std::string& code, const std::string& message) {
  return Json(status, ErrorToJson(code, message));
}

std::optional<Target> ParseTarget(const std::string& target) {
  Target out;
  const std::pair<std::string, std::string> parts = absl::StrSplit(target, absl::MaxSplits('?', 1));
  for (const std::string& part :
       std::vector<std::string>(absl::StrSplit(parts.first, '/', absl::SkipEmpty()))) {
    auto decoded = base::PercentDecode(part);
    if (!decoded.has_value()) return std::nullopt;
    out.path.push_back(*std::move(decoded));
  }
  for (const std::string& pair :
       std::vector<std::string>(absl::StrSplit(parts.second, '&', absl::SkipEmpty()))) {
    const std::pair<std::string, std::string> field = absl::StrSplit(pair, absl::MaxSplits('=', 1));
    auto value = base::PercentDecode(field.second);
    if (!value.has_value()) return std::nullopt;
    out.query[field.first] = *std::move(value);
  }
  return out;
}

std::variant<Route, HttpAnswer> RouteOf(const HttpRequest& request, RouterDeps deps) {
  const std::optional<Target> target = ParseTarget(request.target);
  if (!target.has_value()) return ErrorAnswer(400, "bad_request", "badly encoded target");
  const std::vector<std::string>& path = target->path;
  const HttpAnswer nowhere = ErrorAnswer(404, "no_route", "no such path");
  if (path.size() < 2 || path[0] != "v1" || path[1] != "sandboxes") return nowhere;
  json::value body;
  if (!request.body.empty()) {
    auto parsed = ParseBoundedJson(request.body, kBodyBytesMax);
    if (!parsed.ok()) return BadRequest(parsed.status());
    body = *std::move(parsed);
  }
  const std::string& method = request.method;
  if (path.size() == 2 && method == "POST") {
    auto create = CreateFromJson(body);
    if (!create.ok()) return BadRequest(create.status());
    return Route{Verb::kCreate, [=] { return Create(deps, *create); }};
  }
  if (path.size() == 2 && method == "GET") {
    return Route{Verb::kList, [=, query = target->query] { return List(deps, query); }};
  }
  if (path.size() == 4 && method == "GET" && path[2] == "by-name") {
    return Route{Verb::kFind, [=, name = path[3]] {
                   return ViewAnswer(deps.faults.Seen(deps.world.Find(name)));
                 }};
  }
  if (path.size() < 3) return nowhere;
  const std::string id = path[2];
  if (path.size() == 3 && method == "GET") {
    return Route{Verb::kInspect,
                 [=] { return ViewAnswer(deps.faults.Seen(deps.world.Inspect(id))); }};
  }
  if (path.size() == 3 && method == "DELETE") {
    return Route{Verb::kDestroy, [=] { return Destroy(deps, id); }};
  }
  if (path.size() == 4 && method == "GET" && path[3] == "output") {
    return Route{Verb::kReadOutput, [=, query = target->query] { return Output(deps, id, query); }};
  }
  if (path.size() == 4 && method == "POST") return PostRoute(id, path[3], body, deps);
  return nowhere;
}

}  // namespace boxkeeper::providers::fakecloud
