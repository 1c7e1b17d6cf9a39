#include "providers/local/convert.h"

#include <string.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/core/bytes.h"
#include "base/hex.h"
#include "providers/local/handle.h"
#include "providers/provider.h"

namespace boxkeeper::providers::local {
namespace {

using launcher::EndKind;
using launcher::SandboxState;
using launcher::UserCodeStarted;

void SetTimestamp(uint64_t unix_ns, google::protobuf::Timestamp* out) {
  out->set_seconds(static_cast<int64_t>(unix_ns / 1'000'000'000));
  out->set_nanos(static_cast<int32_t>(unix_ns % 1'000'000'000));
}

// Rounded up: a limit of 1 ns is not none.
uint64_t ToMilliseconds(const google::protobuf::Duration& duration) {
  if (duration.seconds() < 0 || duration.nanos() < 0) return 0;
  return static_cast<uint64_t>(duration.seconds()) * 1000 +
         (static_cast<uint64_t>(duration.nanos()) + 999'999) / 1'000'000;
}

pb::SandboxView::State ToState(const launcher::SandboxInfo& info) {
  switch (info.state) {
    case SandboxState::kCreated:
      return pb::SandboxView::CREATED;
    case SandboxState::kStarting:
      return pb::SandboxView::STARTING;
    case SandboxState::kRunning:
      return pb::SandboxView::RUNNING;
    case SandboxState::kEnded: {
      const bool known = info.exit.has_value() && info.exit->kind != EndKind::kUnknown;
      return known ? pb::SandboxView::ENDED : pb::SandboxView::UNKNOWN;
    }
    case SandboxState::kUnknown:
      break;
  }
  return pb::SandboxView::UNKNOWN;
}

void SetUsage(const launcher::ExitRecord& record, pb::ExitRecord* out) {
  if (record.peak_rss_bytes > 0) {
    out->set_peak_memory_bytes(static_cast<int64_t>(record.peak_rss_bytes));
  }
  if (const uint64_t cpu_us = record.cpu_user_us + record.cpu_system_us; cpu_us > 0) {
    out->set_cpu_seconds(static_cast<double>(cpu_us) / 1e6);
  }
}

// Whether the task asked for any, the daemon knows.
void SetOutputs(const launcher::ExitRecord& record, pb::ExitRecord* out) {
  if (!record.outputs_collected && record.outputs_note.empty()) return;
  v1::OutputsStatus& outputs = *out->mutable_outputs();
  outputs.set_collected(record.outputs_collected);
  outputs.set_files(static_cast<int64_t>(record.output_files));
  outputs.set_bytes(static_cast<int64_t>(record.output_bytes));
  outputs.set_skipped(static_cast<int64_t>(record.outputs_skipped));
  outputs.set_message(record.outputs_note);
}

launcher::Command ToCommand(v1::Command& command) {
  launcher::Command out;
  if (command.has_shell()) {
    out.kind = launcher::CommandKind::kShell;
    out.text = command.shell();
  } else if (command.has_script()) {
    out.kind = launcher::CommandKind::kScript;
    out.lang = command.script().lang().empty() ? "sh" : command.script().lang();
    out.text = command.script().body();
  } else {
    out.argv.assign(command.argv().args().begin(), command.argv().args().end());
  }
  return out;
}

}  // namespace

absl::Status ErrorOfLauncher(const launcher::ReplyError& error) {
  using launcher::ErrorCode;
  const std::string text = absl::StrCat("boxlaunch: ", error.message);
  switch (error.code) {
    case ErrorCode::kNotFound:
      return MakeError(MakeProviderError(pb::NOT_FOUND, text, true));
    case ErrorCode::kInvalid:
    case ErrorCode::kConflict:
    case ErrorCode::kUnsupported:
      return MakeError(MakeProviderError(pb::INVALID, text, true));
    case ErrorCode::kResource:
      return MakeError(MakeProviderError(pb::CAPACITY, text, true));
    case ErrorCode::kUnconfirmed:
      return absl::FailedPreconditionError(text);
    case ErrorCode::kFailedPrecondition:
      return MakeError(MakeProviderError(pb::TRANSIENT, text, true));
    default:
      return MakeError(MakeProviderError(pb::PROTOCOL, text, false));
  }
}

pb::ExitRecord ToExitRecord(const launcher::ExitRecord& record) {
  pb::ExitRecord out;
  if (const auto code = record.ExitCode()) out.set_exit_code(*code);
  if (const auto signal = record.Signal()) out.set_signal(*signal);
  // A supervisor that died before exec attests by its records that user code never ran.
  const bool never_ran =
      record.kind == EndKind::kSupervisorLost && record.user_code_started == UserCodeStarted::kNo;
  out.set_start_failed(record.kind == EndKind::kStartFailed ||
                       record.kind == EndKind::kNeverStarted || never_ran);
  out.set_host_rebooted(record.kind == EndKind::kHostRebooted);
  out.set_lost((record.kind == EndKind::kSupervisorLost || record.kind == EndKind::kHostRebooted) &&
               !never_ran);
  out.set_timed_out(record.timed_out);
  out.set_oom_killed(record.oom_killed);
  out.set_fence_confirmed(record.tree_fenced || record.kind == EndKind::kHostRebooted ||
                          record.kind == EndKind::kNeverStarted);
  if (record.kind == EndKind::kNeverStarted && record.error.empty()) {
    out.set_message("stopped before it was started");
  } else {
    out.set_message(record.error);
  }
  if (!out.lost()) out.set_attester(v1::ATTESTER_LAUNCHER);
  if (record.started_unix_ns != 0) SetTimestamp(record.started_unix_ns, out.mutable_started_at());
  if (record.ended_unix_ns != 0) SetTimestamp(record.ended_unix_ns, out.mutable_ended_at());
  out.set_stdout_bytes(static_cast<int64_t>(record.stdout_bytes));
  out.set_stderr_bytes(static_cast<int64_t>(record.stderr_bytes));
  out.set_dropped_bytes(
      static_cast<int64_t>(record.stdout_dropped_bytes + record.stderr_dropped_bytes));
  SetUsage(record, &out);
  SetOutputs(record, &out);
  return out;
}

pb::SandboxView ToView(const launcher::SandboxInfo& info, const std::string& boot_id) {
  pb::SandboxView view;
  view.set_state(ToState(info));
  view.set_name(info.id);
  const LocalHandle handle{info.boot_id.empty() ? boot_id : info.boot_id, info.id};
  view.set_handle(handle.ToString());
  pb::SandboxView labels;
  if (labels.ParseFromString(info.labels)) *view.mutable_labels() = labels.labels();
  if (info.created_unix_ns != 0) SetTimestamp(info.created_unix_ns, view.mutable_created_at());
  view.set_boot_marker(!info.boot_id.empty());
  view.set_started_marker(info.started_unix_ns != 0);
  if (info.started_unix_ns != 0) SetTimestamp(info.started_unix_ns, view.mutable_started_at());
  view.set_isolation(info.isolation);
  view.set_limits(info.limits);
  if (view.state() == pb::SandboxView::ENDED) *view.mutable_exit() = ToExitRecord(*info.exit);
  return view;
}

pb::SandboxView RebootedView(const std::string& name, const std::string& handle) {
  pb::SandboxView view;
  view.set_state(pb::SandboxView::ENDED);
  view.set_name(name);
  view.set_handle(handle);
  view.mutable_exit()->set_lost(true);
  view.mutable_exit()->set_host_rebooted(true);
  view.mutable_exit()->set_fence_confirmed(true);
  view.mutable_exit()->set_message("the host rebooted");
  return view;
}

pb::StartOutcome ToStartOutcome(const launcher::SandboxInfo& info, bool repeated) {
  pb::StartOutcome outcome;
  outcome.set_isolation(info.isolation);
  outcome.set_limits(info.limits);
  if (info.state == SandboxState::kRunning) {
    SetTimestamp(info.started_unix_ns, outcome.mutable_started()->mutable_at());
    outcome.mutable_started()->set_repeated_call(repeated);
  } else if (info.state == SandboxState::kEnded && info.exit.has_value() &&
             info.exit->kind == EndKind::kStartFailed) {
    outcome.mutable_failure()->set_message(info.exit->error);
  } else if (info.state == SandboxState::kEnded && info.exit.has_value()) {
    *outcome.mutable_ended() = ToExitRecord(*info.exit);
  } else {
    *outcome.mutable_error() = MakeProviderError(
        pb::TRANSIENT, absl::StrCat("not known to have started: ", info.message), false);
  }
  return outcome;
}

std::string EncodeLabels(const google::protobuf::Map<std::string, std::string>& labels,
                         const std::string& image_digest) {
  // A view that holds labels only, so that newer versions can keep more beside them.
  pb::SandboxView view;
  *view.mutable_labels() = labels;
  view.set_image_digest(image_digest);
  return view.SerializeAsString();
}

std::string ImageOf(const launcher::SandboxInfo& info) {
  pb::SandboxView view;
  return view.ParseFromString(info.labels) ? view.image_digest() : "";
}

pb::ProviderError ErrorOfImage(const absl::Status& status) {
  const std::string text(status.message());
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kPermissionDenied:
      return MakeProviderError(pb::IMAGE_NOT_FOUND, text, true);
    case absl::StatusCode::kResourceExhausted:
      return MakeProviderError(pb::CAPACITY, text, true);
    case absl::StatusCode::kDeadlineExceeded:
      return MakeProviderError(pb::TRANSIENT, "the image is still being unpacked", true);
    default:
      return MakeProviderError(pb::TRANSIENT, text, true);
  }
}

void ApplyImage(const PreparedImage& image, launcher::LaunchSpec* spec) {
  spec->isolation.root = image.root;
  std::vector<launcher::EnvVar> env;
  for (const auto& [name, value] : image.defaults.env) env.push_back({name, value});
  // The later one of a name wins.
  env.insert(env.end(), spec->env.begin(), spec->env.end());
  spec->env = std::move(env);
  if (spec->workdir.empty()) spec->workdir = image.defaults.workdir;
}

launcher::LaunchSpec TakeLaunchSpec(pb::LaunchRequest& launch, const std::string& run_as) {
  launcher::LaunchSpec spec;
  spec.command = ToCommand(*launch.mutable_command());
  for (auto& [name, value] : launch.env()) spec.env.push_back({name, value});
  // Reserved, and filled in place: a moved short string would leave its bytes behind.
  spec.secret_env.reserve(launch.secret_env().size());
  for (auto& [name, value] : *launch.mutable_secret_env()) {
    spec.secret_env.push_back({name, ""});
    spec.secret_env.back().value = value;
    base::WipeString(value);
  }
  spec.files.reserve(static_cast<size_t>(launch.files_size()));
  for (v1::TaskFile& file : *launch.mutable_files()) {
    constexpr uint32_t kDefaultMode = 0644;
    launcher::LaunchFile& out = spec.files.emplace_back();
    out.path = file.path();
    out.mode = file.mode() == 0 ? kDefaultMode : file.mode();
    out.content = file.content();
    out.secret = file.secret();
    if (!file.blob().empty()) {
      // A path that is missing is the launcher's to refuse.
      out.blob_path = launch.blob_paths().contains(file.blob())
                          ? launch.blob_paths().at(file.blob())
                          : std::string("unknown");
      out.blob_sha256 = base::HexDecode(file.blob()).value_or("");
    }
    if (file.secret()) base::WipeString(*file.mutable_content());
  }
  spec.workdir = launch.workdir();
  spec.stdin_path = launch.stdin();
  spec.user = launch.user().empty() ? run_as : launch.user();
  spec.run_timeout_ms = ToMilliseconds(launch.timeout());
  if (launch.has_grace()) spec.grace_ms = ToMilliseconds(launch.grace());
  if (launch.has_final_drain()) spec.final_drain_ms = ToMilliseconds(launch.final_drain());
  spec.stdout_path = launch.spool().stdout_path();
  spec.stderr_path = launch.spool().stderr_path();
  spec.index_path = launch.spool().index_path();
  spec.log_bytes_max = static_cast<uint64_t>(std::max<int64_t>(0, launch.spool().max_bytes()));
  spec.overflow = launch.spool().overflow() == pb::SpoolPaths::BLOCK
                      ? launcher::OverflowPolicy::kBlock
                      : launcher::OverflowPolicy::kDropMiddle;
  launcher::OutputsSpec& outputs = spec.outputs;
  outputs.patterns.assign(launch.spec().outputs().begin(), launch.spec().outputs().end());
  outputs.path = launch.spool().outputs_path();
  outputs.files_max =
      static_cast<uint64_t>(std::max<int64_t>(0, launch.spool().outputs_max_files()));
  outputs.bytes_max =
      static_cast<uint64_t>(std::max<int64_t>(0, launch.spool().outputs_max_bytes()));
  outputs.timeout_ms = ToMilliseconds(launch.spool().outputs_timeout());
  return spec;
}

}  // namespace boxkeeper::providers::local
