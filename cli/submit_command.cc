#include "cli/submit_command.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cli/blob_upload.h"
#include "cli/exit_code.h"
#include "cli/patience.h"
#include "cli/proto_node.h"
#include "cli/rpc_error.h"
#include "cli/task_text.h"
#include "cli/wanted_output.h"

namespace boxkeeper::cli {
namespace {

// The last line alone should say what is wrong: scripts often show no other.
std::string RejectedText(const v1::SubmitResult& result) {
  if (result.violations_size() == 0) {
    return result.message().empty() ? "the daemon rejected the task" : result.message();
  }
  const auto& first = result.violations(0);
  const std::string text = absl::StrCat(first.field(), ": ", first.description());
  const int others = result.violations_size() - 1;
  return others == 0 ? text : absl::StrCat(text, " (and ", others, " more)");
}

// A refusal in the words of an error, so that it is shown like one.
absl::Status Refusal(const v1::SubmitResult& result) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  info.set_domain("boxkeeper");
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
  std::string message = result.message();
  switch (result.outcome()) {
    case v1::SubmitResult::ALREADY_LIVE:
      code = absl::StatusCode::kAlreadyExists;
      info.set_reason("ALREADY_LIVE");
      message = absl::StrCat("task ", result.id(), " (", EnumWord(result.state()),
                             ") is live under this key; see --on-live-key",
                             message.empty() ? "" : ": ", message);
      break;
    case v1::SubmitResult::QUEUE_FULL: {
      code = absl::StatusCode::kResourceExhausted;
      info.set_reason("QUEUE_FULL");
      if (message.empty()) message = "the daemon takes no more tasks now";
      google::rpc::RetryInfo retry;
      *retry.mutable_retry_delay() = result.retry_after();
      if (result.has_retry_after()) details.add_details()->PackFrom(retry);
      break;
    }
    case v1::SubmitResult::REJECTED: {
      info.set_reason("REJECTED");
      message = RejectedText(result);
      google::rpc::BadRequest bad;
      *bad.mutable_field_violations() = result.violations();
      if (result.violations_size() > 1) details.add_details()->PackFrom(bad);
      break;
    }
    default:
      code = absl::StatusCode::kInternal;
      message = "the daemon's answer says nothing";
  }
  details.add_details()->PackFrom(info);
  return WithDetails(code, message, details.SerializeAsString());
}

absl::StatusOr<v1::SubmitResult> OnlyResult(const absl::StatusOr<v1::SubmitTasksResponse>& answer) {
  RETURN_IF_ERROR(answer.status());
  if (answer->results_size() != 1) {
    return absl::InternalError("the daemon's answer does not match the submission");
  }
  const v1::SubmitResult& result = answer->results(0);
  if (result.outcome() == v1::SubmitResult::ACCEPTED ||
      result.outcome() == v1::SubmitResult::DUPLICATE) {
    return result;
  }
  return Refusal(result);
}

// It may have gone meanwhile: the room for blobs is bounded.
bool MissesBlob(const absl::StatusOr<v1::SubmitTasksResponse>& answer) {
  if (!answer.ok() || answer->results_size() != 1) return false;
  const auto& violations = answer->results(0).violations();
  return std::any_of(violations.begin(), violations.end(),
                     [](const auto& violation) { return violation.field() == "files.blob"; });
}

std::string ResultText(const v1::SubmitResult& result, bool wide) {
  if (!wide) return result.id() + "\n";
  return absl::StrCat(result.id(), "  ", EnumWord(result.outcome()), "  ", EnumWord(result.state()),
                      "  generation ", result.generation(), "\n");
}

}  // namespace

absl::StatusOr<v1::SubmitResult> SubmitOne(Session& session, const Submission& submission) {
  Client& client = session.client();
  RETURN_IF_ERROR(client.Connect());
  RETURN_IF_ERROR(UploadBlobs(session, submission.blobs));
  v1::SubmitTasksRequest request;
  *request.add_tasks() = submission.spec;
  Patience patience(session.console(), client, true);
  bool sent_again = false;
  for (;;) {
    auto answer = client.Submit(request);
    if (!answer.ok() && patience.TryAgain(answer.status())) continue;
    if (sent_again || !MissesBlob(answer)) return OnlyResult(answer);
    sent_again = true;
    RETURN_IF_ERROR(UploadBlobs(session, submission.blobs));
  }
}

int SubmitDetached(Session& session, const Submission& submission) {
  auto result = SubmitOne(session, submission);
  if (!result.ok()) return session.Fail(result.status());
  if (result->outcome() == v1::SubmitResult::DUPLICATE) {
    session.console().Progress("this submission is already a task");
  }
  const bool printed = Print(session.console(), session.format(), ProtoNode(*result), result->id(),
                             [&](bool wide) { return ResultText(*result, wide); });
  return printed ? kExitOk : kExitOurs;
}

int DryRun(Session& session, const v1::TaskSpec& spec) {
  v1::SubmitTasksRequest request;
  *request.add_tasks() = spec;
  request.set_validate_only(true);
  auto result = OnlyResult(session.client().Submit(request));
  if (!result.ok()) return session.Fail(result.status());
  const bool printed =
      Print(session.console(), session.format(), ProtoNode(result->spec()),
            result->spec().provider_size() > 0 ? result->spec().provider(0) : "", [&](bool) {
              Fields fields;
              AddSpec(result->spec(), session.console(), fields);
              return fields.Render(session.console().colour);
            });
  return printed ? kExitOk : kExitOurs;
}

absl::Status CheckDetachedOutputs(const SubmitFlags& flags) {
  for (const std::string& output : flags.outputs) {
    if (ParseWantedOutput(output).directory.empty()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("--output ", output,
                     ": a directory of this machine goes with `run` that waits; give only the "
                     "path, and fetch it later by `artifacts get`"));
  }
  return absl::OkStatus();
}

int Submit(Session& session, const SubmitFlags& flags) {
  auto submission = BuildSubmission(flags, session.console());
  if (!submission.ok()) return session.Misused(submission.status());
  absl::Status outputs = CheckDetachedOutputs(flags);
  if (!outputs.ok()) return session.Misused(outputs);
  return flags.dry_run ? DryRun(session, submission->spec) : SubmitDetached(session, *submission);
}

}  // namespace boxkeeper::cli
