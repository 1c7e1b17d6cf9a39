#include "daemon/service/request_checks.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "blobs/blob_name.h"
#include "daemon/api/api_error.h"

namespace boxkeeper::daemon {
namespace {

constexpr size_t kIdBytesMax = 64;
constexpr size_t kNameBytesMax = 1024;    // owners, providers, reasons, cursors
constexpr size_t kPrefixBytesMax = 8192;  // key prefixes
constexpr size_t kPathBytesMax = 4096;    // of artifacts
constexpr int64_t kDurationSecondsMax = 366 * 86400;

// Collects violations; `Done` makes the answer.
class Checks {
 public:
  void Require(bool good, const std::string& field, const std::string& description) {
    if (!good) violations_.push_back({field, description});
  }

  void Id(const std::string& id, const std::string& field) {
    Require(!id.empty(), field, "a task's id is required");
    Text(id, field, kIdBytesMax);
  }

  void Text(const std::string& text, const std::string& field, size_t max) {
    Require(text.size() <= max, field, absl::StrCat("at most ", max, " bytes"));
    Require(text.find('\0') == std::string::npos, field, "must not contain NUL");
  }

  void Duration(const google::protobuf::Duration& duration, const std::string& field) {
    const bool good = duration.seconds() >= 0 && duration.seconds() <= kDurationSecondsMax &&
                      duration.nanos() >= 0 && duration.nanos() < 1'000'000'000;
    Require(good, field, "a duration from 0s to 366 days");
  }

  void Ref(const v1::TaskRef& ref, const std::string& field) {
    switch (ref.ref_case()) {
      case v1::TaskRef::kId:
        Id(ref.id(), field + ".id");
        break;
      case v1::TaskRef::kKey:
        Require(!ref.key().name().empty(), field + ".key.name", "a key's name is required");
        Require(v1::TaskKey::Kind_IsValid(ref.key().kind()), field + ".key.kind", "unknown value");
        break;
      case v1::TaskRef::REF_NOT_SET:
        Require(false, field, "an id or a key is required");
    }
  }

  void Filter(const v1::TaskFilter& filter) {
    Text(filter.key_prefix(), "filter.key_prefix", kPrefixBytesMax);
    Text(filter.owner(), "filter.owner", kNameBytesMax);
    for (int i = 0; i < filter.states_size(); ++i) {
      Require(
          filter.states(i) != v1::TASK_STATE_UNSPECIFIED && v1::TaskState_IsValid(filter.states(i)),
          absl::StrCat("filter.states[", i, "]"), "not a state of a task");
    }
  }

  absl::Status Done() const {
    if (violations_.empty()) return absl::OkStatus();
    ApiErrorDetails details;
    details.violations = violations_;
    const auto& first = violations_.front();
    return ApiError(
        absl::StatusCode::kInvalidArgument, "INVALID_REQUEST",
        absl::StrCat(
            first.field, ": ", first.description,
            violations_.size() > 1 ? absl::StrCat(" (and ", violations_.size() - 1, " more)") : ""),
        details);
  }

 private:
  std::vector<providers::FieldViolation> violations_;
};

std::string At(const std::string& list, int i) { return absl::StrCat(list, "[", i, "]"); }

bool IsEmpty(const v1::TaskFilter& filter) {
  return filter.key_prefix().empty() && !filter.has_owner() && filter.states().empty() &&
         filter.labels().empty();
}

}  // namespace

absl::Status CheckBatchBytes(size_t bytes) {
  if (bytes <= static_cast<size_t>(kBatchBytesMax)) return absl::OkStatus();
  const std::string message =
      absl::StrCat("the request has ", bytes, " bytes; at most ", kBatchBytesMax);
  ApiErrorDetails details;
  details.violations.push_back({"tasks", message});
  return ApiError(absl::StatusCode::kInvalidArgument, "BATCH_TOO_LARGE", message, details);
}

absl::Status CheckRequest(const v1::GetTaskRequest& request) {
  Checks checks;
  checks.Ref(request.task(), "task");
  checks.Require(request.generation() >= 0, "generation", "must not be negative");
  checks.Require(request.generation() == 0 || request.task().has_key(), "generation",
                 "only together with a key");
  return checks.Done();
}

absl::Status CheckRequest(const v1::ListTasksRequest& request) {
  Checks checks;
  checks.Filter(request.filter());
  checks.Require(request.page_size() >= 0 && request.page_size() <= kPageSizeMax, "page_size",
                 absl::StrCat("0 (= 100) to ", kPageSizeMax));
  checks.Text(request.page_token(), "page_token", kNameBytesMax);
  return checks.Done();
}

absl::Status CheckRequest(const v1::WaitTaskRequest& request) {
  Checks checks;
  checks.Require(request.ids_size() > 0, "ids", "at least one");
  for (int i = 0; i < request.ids_size(); ++i) checks.Id(request.ids(i), At("ids", i));
  checks.Require(v1::WaitTaskRequest::Until_IsValid(request.until()), "until", "unknown value");
  checks.Duration(request.timeout(), "timeout");
  return checks.Done();
}

absl::Status CheckRequest(const v1::CancelTasksRequest& request) {
  Checks checks;
  for (int i = 0; i < request.tasks_size(); ++i) checks.Ref(request.tasks(i), At("tasks", i));
  if (request.tasks().empty()) {
    checks.Require(request.has_filter() && !IsEmpty(request.filter()), "filter",
                   "without `tasks`, a filter with at least one condition is required");
  } else {
    checks.Require(!request.has_filter(), "filter", "not together with `tasks`");
  }
  checks.Filter(request.filter());
  checks.Duration(request.grace(), "grace");
  checks.Text(request.reason(), "reason", kNameBytesMax);
  return checks.Done();
}

absl::Status CheckRequest(const v1::WatchEventsRequest& request) {
  Checks checks;
  checks.Text(request.owner(), "owner", kNameBytesMax);
  checks.Text(request.cursor(), "cursor", kNameBytesMax);
  return checks.Done();
}

absl::Status CheckRequest(const v1::AckEventsRequest& request) {
  Checks checks;
  checks.Require(!request.owner().empty(), "owner",
                 "required: the stream of all owners cannot be acknowledged");
  checks.Text(request.owner(), "owner", kNameBytesMax);
  checks.Require(!request.cursor().empty(), "cursor", "required");
  checks.Text(request.cursor(), "cursor", kNameBytesMax);
  return checks.Done();
}

absl::Status CheckRequest(const v1::AdoptTasksRequest& request) {
  Checks checks;
  checks.Require(!request.new_owner().empty(), "new_owner", "required");
  checks.Text(request.new_owner(), "new_owner", kNameBytesMax);
  checks.Require(request.tasks_size() > 0, "tasks", "at least one");
  for (int i = 0; i < request.tasks_size(); ++i) checks.Ref(request.tasks(i), At("tasks", i));
  return checks.Done();
}

absl::Status CheckRequest(const v1::ReadLogRequest& request) {
  Checks checks;
  if (request.has_task()) {
    checks.Require(request.id().empty(), "id", "excludes `task`");
    checks.Ref(request.task(), "task");
  } else {
    checks.Id(request.id(), "id");
  }
  checks.Require(v1::ReadLogRequest::Stream_IsValid(request.stream()), "stream", "unknown value");
  checks.Require(request.offset() >= 0, "offset", "must not be negative");
  checks.Require(request.from_case() != v1::ReadLogRequest::kUnstored || request.unstored(),
                 "unstored", "true, or not set");
  checks.Require(request.tail_lines() >= 0, "tail_lines", "must not be negative");
  return checks.Done();
}

absl::Status CheckRequest(const v1::ListArtifactsRequest& request) {
  Checks checks;
  checks.Ref(request.task(), "task");
  return checks.Done();
}

absl::Status CheckRequest(const v1::ReadArtifactRequest& request) {
  Checks checks;
  checks.Ref(request.task(), "task");
  checks.Require(!request.path().empty(), "path", "an artifact's path is required");
  checks.Text(request.path(), "path", kPathBytesMax);
  checks.Require(request.offset() >= 0, "offset", "must not be negative");
  return checks.Done();
}

absl::Status CheckRequest(const v1::PutBlobRequest& request) {
  Checks checks;
  checks.Require(blobs::IsBlobName(request.sha256()), "sha256",
                 "the content's SHA-256 is required in the first message: 64 lower-case "
                 "hexadecimal digits");
  checks.Require(request.size() >= 0, "size", "must not be negative");
  return checks.Done();
}

absl::Status CheckRequest(const v1::GetCapacityRequest&) { return absl::OkStatus(); }

absl::Status CheckRequest(const v1::RenewLeaseRequest& request) {
  Checks checks;
  for (int i = 0; i < request.ids_size(); ++i) checks.Id(request.ids(i), At("ids", i));
  return checks.Done();
}

absl::Status CheckRequest(const v1::GetStatusRequest&) { return absl::OkStatus(); }

absl::Status CheckRequest(const v1::ListSandboxesRequest& request) {
  Checks checks;
  checks.Text(request.provider(), "provider", kNameBytesMax);
  return checks.Done();
}

absl::Status CheckRequest(const v1::ListProvidersRequest&) { return absl::OkStatus(); }
absl::Status CheckRequest(const v1::DrainRequest&) { return absl::OkStatus(); }
absl::Status CheckRequest(const v1::ReloadRequest&) { return absl::OkStatus(); }

absl::Status CheckRequest(const v1::AbandonTaskRequest& request) {
  Checks checks;
  checks.Id(request.id(), "id");
  checks.Text(request.reason(), "reason", kNameBytesMax);
  return checks.Done();
}

absl::Status CheckRequest(const v1::ListOrphansRequest& request) {
  Checks checks;
  checks.Text(request.provider(), "provider", kNameBytesMax);
  return checks.Done();
}

absl::Status CheckRequest(const v1::ReapOrphansRequest& request) {
  Checks checks;
  checks.Text(request.provider(), "provider", kNameBytesMax);
  checks.Require(request.accept_epoch() >= 0, "accept_epoch", "0 or greater");
  return checks.Done();
}

}  // namespace boxkeeper::daemon
