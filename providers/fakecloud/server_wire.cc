#include "providers/fakecloud/server_wire.h"

#include <chrono>
#include <utility>

#include "absl/time/time.h"
#include "base/status_macros.h"

namespace boxkeeper::providers::fakecloud {

namespace json = boost::json;

namespace {

std::string TimeText(const google::protobuf::Timestamp& time) {
  return absl::FormatTime(absl::RFC3339_full,
                          absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos()),
                          absl::UTCTimeZone());
}

const char* StateWord(pb::SandboxView::State state) {
  switch (state) {
    case pb::SandboxView::CREATED:
      return "created";
    case pb::SandboxView::STARTING:
      return "starting";
    case pb::SandboxView::RUNNING:
      return "running";
    case pb::SandboxView::ENDED:
      return "ended";
    default:
      return "hibernating";
  }
}

json::object ExitToJson(const pb::ExitRecord& exit) {
  json::object out;
  if (exit.has_exit_code()) out["exit_code"] = exit.exit_code();
  if (exit.has_signal()) out["signal"] = exit.signal();
  if (exit.timed_out()) out["timed_out"] = true;
  if (exit.start_failed()) out["start_failed"] = true;
  if (exit.lost()) out["lost"] = true;
  if (exit.has_started_at()) out["started_at"] = TimeText(exit.started_at());
  if (exit.has_ended_at()) out["ended_at"] = TimeText(exit.ended_at());
  out["stdout_bytes"] = exit.stdout_bytes();
  out["stderr_bytes"] = exit.stderr_bytes();
  if (!exit.message().empty()) out["message"] = exit.message();
  return out;
}

const json::value* Member(const json::value& value, const char* key) {
  const json::object* object = value.if_object();
  return object == nullptr ? nullptr : object->if_contains(key);
}

std::string TextOf(const json::value& value, const char* key) {
  const json::value* member = Member(value, key);
  if (member == nullptr || !member->is_string()) return "";
  return {member->as_string().data(), member->as_string().size()};
}

void SetMillis(const json::value& value, const char* key, google::protobuf::Duration* out) {
  const json::value* member = Member(value, key);
  if (member == nullptr || !member->is_int64() || member->as_int64() <= 0) return;
  out->set_seconds(member->as_int64() / 1000);
  out->set_nanos(static_cast<int32_t>(member->as_int64() % 1000) * 1'000'000);
}

}  // namespace

json::object SandboxToJson(const pb::SandboxView& view) {
  json::object labels;
  for (const auto& [key, value] : view.labels()) labels[key] = value;
  json::object out{{"id", view.handle()},
                   {"name", view.name()},
                   {"labels", std::move(labels)},
                   {"state", StateWord(view.state())},
                   {"created_at", TimeText(view.created_at())}};
  if (view.has_started_at()) out["started_at"] = TimeText(view.started_at());
  if (view.has_exit()) out["exit"] = ExitToJson(view.exit());
  return out;
}

json::object StartToJson(const pb::StartOutcome& outcome) {
  if (outcome.has_started()) {
    return {{"result", "started"},
            {"at", TimeText(outcome.started().at())},
            {"repeated", outcome.started().repeated_call()}};
  }
  if (outcome.has_ended()) return {{"result", "ended"}, {"exit", ExitToJson(outcome.ended())}};
  return {{"result", "failed"},
          {"message", outcome.failure().message()},
          {"errno", outcome.failure().errno_value()}};
}

json::object ErrorToJson(const std::string& code, const std::string& message) {
  return {{"error", json::object{{"code", code}, {"message", message}}}};
}

json::object AuditToJson(const testing::AuditEntry& entry) {
  return {{"kind", testing::AuditWord(entry.kind)},
          {"boot_ns", entry.at.time_since_epoch().count()},
          {"name", entry.name},
          {"exec_id", entry.exec_id},
          {"detail", entry.detail}};
}

absl::StatusOr<pb::LaunchRequest> LaunchFromJson(const json::value& value) {
  pb::LaunchRequest launch;
  launch.set_exec_id(TextOf(value, "exec_id"));
  if (launch.exec_id().empty()) return absl::InvalidArgumentError("exec_id is missing");
  if (const json::value* argv = Member(value, "argv"); argv != nullptr && argv->is_array()) {
    for (const json::value& arg : argv->as_array()) {
      if (!arg.is_string()) return absl::InvalidArgumentError("argv must hold text");
      launch.mutable_command()->mutable_argv()->add_args(arg.as_string().data(),
                                                         arg.as_string().size());
    }
  } else if (const std::string shell = TextOf(value, "shell"); !shell.empty()) {
    launch.mutable_command()->set_shell(shell);
  } else if (const json::value* script = Member(value, "script"); script != nullptr) {
    // A program of lines; the fake runs the first as it runs a shell command.
    launch.mutable_command()->set_shell(TextOf(*script, "body"));
  } else {
    return absl::InvalidArgumentError("argv, shell or script is needed");
  }
  SetMillis(value, "timeout_ms", launch.mutable_timeout());
  SetMillis(value, "grace_ms", launch.mutable_grace());
  return launch;
}

absl::StatusOr<pb::CreateRequest> CreateFromJson(const json::value& value) {
  pb::CreateRequest request;
  request.set_name(TextOf(value, "name"));
  if (request.name().empty()) return absl::InvalidArgumentError("name is missing");
  if (const json::value* labels = Member(value, "labels");
      labels != nullptr && labels->is_object()) {
    for (const auto& [key, label] : labels->as_object()) {
      if (!label.is_string()) return absl::InvalidArgumentError("labels must hold text");
      (*request.mutable_labels())[std::string(key.data(), key.size())] =
          std::string(label.as_string().data(), label.as_string().size());
    }
  }
  if (const json::value* launch = Member(value, "launch"); launch != nullptr) {
    ASSIGN_OR_RETURN(*request.mutable_launch(), LaunchFromJson(*launch));
  }
  return request;
}

}  // namespace boxkeeper::providers::fakecloud
