#include "providers/testing/fake_world.h"

#include <algorithm>
#include <array>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "providers/provider.h"

namespace boxkeeper::providers::testing {
namespace {

using std::chrono::nanoseconds;

// Far enough for "runs until it is killed".
constexpr nanoseconds kForever = std::chrono::hours(24 * 365);
constexpr char kDeploymentLabel[] = "boxkeeper.deployment";

void SetTimestamp(absl::Time time, google::protobuf::Timestamp* out) {
  const int64_t nanos = absl::ToUnixNanos(time);
  out->set_seconds(nanos / 1'000'000'000);
  out->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
}

nanoseconds ToChrono(const google::protobuf::Duration& duration) {
  return std::chrono::seconds(duration.seconds()) + nanoseconds(duration.nanos());
}

std::vector<std::string> Words(const pb::LaunchRequest& launch) {
  const auto& command = launch.command();
  if (command.has_shell()) return absl::StrSplit(command.shell(), ' ', absl::SkipEmpty());
  return {command.argv().args().begin(), command.argv().args().end()};
}

void SetSignal(pb::ExitRecord& record, int signal) {
  record.clear_exit_code();
  record.set_signal(signal);
  record.set_timed_out(false);  // it would have been, later
}

}  // namespace

Behaviour BehaviourOf(const pb::LaunchRequest& launch) {
  Behaviour behaviour;
  const std::vector<std::string> words = Words(launch);
  if (words.empty() || words[0] != "sim") return behaviour;
  for (const std::string& word : words) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(word, absl::MaxSplits('=', 1));
    const auto& [key, value] = parts;
    absl::Duration duration;
    if (key == "run" && absl::ParseDuration(value, &duration)) {
      behaviour.run = std::min(kForever, absl::ToChronoNanoseconds(duration));
    }
    if (key == "exit") (void)absl::SimpleAtoi(value, &behaviour.exit_code);
    if (key == "signal") (void)absl::SimpleAtoi(value, &behaviour.signal);
    if (key == "out") (void)absl::SimpleAtoi(value, &behaviour.stdout_bytes);
    if (key == "err") (void)absl::SimpleAtoi(value, &behaviour.stderr_bytes);
    if (key == "ignore_term") behaviour.ignore_term = true;
    if (key == "start_fails") behaviour.start_fails = true;
    if (key == "start_silent") behaviour.start_silent = true;
  }
  return behaviour;
}

const char* AuditWord(AuditEntry::Kind kind) {
  constexpr std::array<const char*, 8> kWords{"create",  "start", "execute", "signal",
                                              "destroy", "fence", "vanish",  "reboot"};
  return kWords.at(kind);
}

char OutputByte(int64_t offset) {
  constexpr int64_t kLine = 80;
  return offset % kLine == kLine - 1 ? '\n' : static_cast<char>('a' + offset % kLine % 26);
}

FakeWorld::FakeWorld(base::Clock& clock, FakeWorldOptions options)
    : clock_(&clock), options_(std::move(options)) {}

void FakeWorld::Schedule(base::BootTime at, std::function<void()> effect) {
  schedule_.emplace(std::pair(at, next_sequence_++), std::move(effect));
  if (settling_) return;
  const auto observers = observers_;
  for (const auto& [id, observer] : observers) observer("");
}

void FakeWorld::Settle() {
  if (settling_) return;
  settling_ = true;
  while (!schedule_.empty() && schedule_.begin()->first.first <= Now()) {
    auto effect = std::move(schedule_.begin()->second);
    schedule_.erase(schedule_.begin());
    effect();
  }
  settling_ = false;
  const auto observers = observers_;
  for (const auto& [id, observer] : observers) observer("");
}

std::optional<base::BootTime> FakeWorld::NextDue() const {
  if (schedule_.empty()) return std::nullopt;
  return schedule_.begin()->first.first;
}

absl::StatusOr<pb::CreateOutcome> FakeWorld::Create(const pb::CreateRequest& request) {
  auto found = sandboxes_.find(request.name());
  if (found != sandboxes_.end() && Ended(found->second) && !options_.name_unique_incl_ended) {
    sandboxes_.erase(found);
    found = sandboxes_.end();
  }
  std::map<std::string, std::string> labels(request.labels().begin(), request.labels().end());
  pb::CreateOutcome outcome;
  if (found != sandboxes_.end()) {
    if (found->second.labels[kDeploymentLabel] != labels[kDeploymentLabel]) {
      return MakeError(MakeProviderError(pb::INVALID, "the name belongs to somebody else", true));
    }
    outcome.set_handle(found->second.handle);
    outcome.set_adopted(true);
    return outcome;
  }
  if (sandboxes_.size() >= options_.capacity) {
    return MakeError(MakeProviderError(pb::CAPACITY, "no room for another sandbox", true));
  }
  if (made_ >= options_.quota) {
    return MakeError(MakeProviderError(pb::QUOTA, "the quota is used up", true));
  }
  Sandbox& sandbox = Make(request.name(), std::move(labels));
  outcome.set_handle(sandbox.handle);
  if (options_.one_step) Execute(sandbox, request.launch());
  return outcome;
}

pb::StartOutcome FakeWorld::Start(const std::string& handle, const pb::LaunchRequest& launch) {
  pb::StartOutcome outcome;
  Sandbox* sandbox = ByHandle(handle);
  Audit(AuditEntry::kStart, sandbox == nullptr ? "" : sandbox->name, launch.exec_id());
  if (sandbox == nullptr) {
    *outcome.mutable_error() = MakeProviderError(pb::NOT_FOUND, "no such sandbox", true);
    return outcome;
  }
  if (sandbox->fenced || sandbox->rebooted) {
    *outcome.mutable_error() = MakeProviderError(pb::INVALID, "the sandbox is fenced", true);
    return outcome;
  }
  const bool repeated = options_.start_idempotent && sandbox->execution.has_value() &&
                        sandbox->execution->launch.exec_id() == launch.exec_id();
  if (!repeated) Execute(*sandbox, launch);
  const Execution& execution = *sandbox->execution;
  if (execution.behaviour.start_fails) {
    outcome.mutable_failure()->set_message(execution.end.message());
    outcome.mutable_failure()->set_errno_value(2);
  } else if (Ended(*sandbox)) {
    *outcome.mutable_ended() = EndOf(execution);
  } else if (execution.behaviour.start_silent) {
    *outcome.mutable_error() = MakeProviderError(pb::TRANSIENT, "not known to have started", false);
  } else {
    SetTimestamp(execution.started_wall, outcome.mutable_started()->mutable_at());
    outcome.mutable_started()->set_repeated_call(repeated);
  }
  return outcome;
}

pb::SandboxView FakeWorld::Find(const std::string& name) {
  pb::SandboxView absent;
  absent.set_state(pb::SandboxView::ABSENT);
  absent.set_name(name);
  const auto found = sandboxes_.find(name);
  if (found == sandboxes_.end()) return absent;
  if (found->second.created + options_.create_list_lag > Now()) return absent;
  return ViewOf(found->second);
}

std::shared_ptr<const pb::SandboxView> FakeWorld::ViewByName(const std::string& name) const {
  const auto found = sandboxes_.find(name);
  if (found == sandboxes_.end()) return nullptr;
  return std::make_shared<const pb::SandboxView>(ViewOf(found->second));
}

std::vector<pb::SandboxView> FakeWorld::List(const std::string& after, size_t limit) {
  std::erase_if(ghosts_, [&](const auto& entry) { return entry.second.until <= Now(); });
  std::map<std::string, pb::SandboxView> rows;
  for (auto it = ghosts_.upper_bound(after); it != ghosts_.end() && rows.size() < limit; ++it) {
    rows.emplace(it->first, it->second.view);
  }
  size_t taken = 0;
  for (auto it = sandboxes_.upper_bound(after); it != sandboxes_.end() && taken < limit; ++it) {
    if (it->second.created + options_.create_list_lag > Now()) continue;
    rows.insert_or_assign(it->first, ViewOf(it->second));
    ++taken;
  }
  std::vector<pb::SandboxView> page;
  for (auto& [name, view] : rows) {
    if (page.size() == limit) break;
    page.push_back(std::move(view));
  }
  return page;
}

pb::SandboxView FakeWorld::Inspect(const std::string& handle) {
  if (const Sandbox* sandbox = ByHandle(handle); sandbox != nullptr) return ViewOf(*sandbox);
  pb::SandboxView absent;
  absent.set_state(pb::SandboxView::ABSENT);
  absent.set_handle(handle);
  return absent;
}

absl::StatusOr<pb::OutputChunk> FakeWorld::ReadOutput(const std::string& handle,
                                                      const std::string& exec_id,
                                                      const std::string& stream, int64_t offset,
                                                      int64_t max_bytes) {
  const Sandbox* sandbox = ByHandle(handle);
  if (sandbox == nullptr || !sandbox->execution.has_value() ||
      sandbox->execution->launch.exec_id() != exec_id) {
    return MakeError(MakeProviderError(pb::NOT_FOUND, "no such execution", true));
  }
  const Execution& execution = *sandbox->execution;
  const int64_t total =
      stream == "stderr" ? execution.behaviour.stderr_bytes : execution.behaviour.stdout_bytes;
  const int64_t printed = Printed(execution, total, Now());
  pb::OutputChunk chunk;
  chunk.set_offset(offset);
  const int64_t end = std::min(printed, offset + max_bytes);
  for (int64_t i = offset; i < end; ++i) chunk.mutable_data()->push_back(OutputByte(i));
  chunk.set_end(Ended(*sandbox) && end >= printed);
  return chunk;
}

void FakeWorld::Signal(const std::string& handle, bool force, nanoseconds grace) {
  Sandbox* sandbox = ByHandle(handle);
  Audit(AuditEntry::kSignal, sandbox == nullptr ? "" : sandbox->name, "", force ? "KILL" : "TERM");
  if (sandbox == nullptr || !sandbox->execution.has_value()) return;
  if (!force && !sandbox->execution->behaviour.ignore_term) {
    EndEarlier(*sandbox, Now(), [](pb::ExitRecord& record) { SetSignal(record, 15); });
    return;
  }
  const nanoseconds delay = options_.kill_latency + (force ? nanoseconds(0) : grace);
  EndEarlier(*sandbox, Now() + delay, [](pb::ExitRecord& record) { SetSignal(record, 9); });
}

void FakeWorld::Destroy(const std::string& handle) {
  Sandbox* sandbox = ByHandle(handle);
  Audit(AuditEntry::kDestroy, sandbox == nullptr ? handle : sandbox->name, "",
        sandbox == nullptr ? "absent" : "");
  if (sandbox != nullptr) Remove(*sandbox);
}

absl::Status FakeWorld::Fence(const std::string& handle) {
  Sandbox* sandbox = ByHandle(handle);
  Audit(AuditEntry::kFence, sandbox == nullptr ? handle : sandbox->name);
  if (sandbox == nullptr) return absl::OkStatus();
  sandbox->fenced = true;
  if (!sandbox->execution.has_value() || Ended(*sandbox)) return absl::OkStatus();
  EndEarlier(*sandbox, Now() + options_.kill_latency,
             [](pb::ExitRecord& record) { SetSignal(record, 9); });
  if (Ended(*sandbox)) return absl::OkStatus();
  return absl::FailedPreconditionError("the command was killed and has not ended yet");
}

int FakeWorld::Observe(std::function<void(const std::string& name)> observer) {
  observers_.emplace(next_observer_, std::move(observer));
  return next_observer_++;
}

bool FakeWorld::Vanish(const std::string& name) {
  Settle();
  const auto found = sandboxes_.find(name);
  if (found == sandboxes_.end()) return false;
  Audit(AuditEntry::kVanish, name);
  Remove(found->second);
  return true;
}

void FakeWorld::Reboot() {
  Settle();
  Audit(AuditEntry::kReboot, "");
  ghosts_.clear();
  for (auto& [name, sandbox] : sandboxes_) {
    sandbox.rebooted = true;
    sandbox.created = base::BootTime(-kForever);  // boot time begins anew
    EndEarlier(sandbox, Now(), [](pb::ExitRecord& record) {
      record.clear_exit_code();
      record.clear_signal();
      record.set_lost(true);
      record.set_host_rebooted(true);
    });
    if (sandbox.execution.has_value()) sandbox.execution->before_reboot = true;
  }
  schedule_.clear();  // nobody is left to be told of these ends
}

void FakeWorld::AddForeign(const std::string& name, std::map<std::string, std::string> labels) {
  Make(name, std::move(labels));
}

std::map<std::string, int> FakeWorld::ExecutionsByExecId() const {
  std::map<std::string, int> counts;
  for (const AuditEntry& entry : audit_) {
    if (entry.kind == AuditEntry::kExecute) ++counts[entry.exec_id];
  }
  return counts;
}

std::map<std::string, int> FakeWorld::ExecutionsBySandbox() const {
  std::map<std::string, int> counts;
  for (const AuditEntry& entry : audit_) {
    if (entry.kind == AuditEntry::kExecute) ++counts[entry.name];
  }
  return counts;
}

std::vector<std::string> FakeWorld::SandboxNames() {
  Settle();
  std::vector<std::string> names;
  names.reserve(sandboxes_.size());
  for (const auto& [name, sandbox] : sandboxes_) names.push_back(name);
  return names;
}

std::vector<std::string> FakeWorld::RunningExecIds() {
  Settle();
  std::vector<std::string> ids;
  for (const auto& [name, sandbox] : sandboxes_) {
    if (sandbox.execution.has_value() && !Ended(sandbox)) {
      ids.push_back(sandbox.execution->launch.exec_id());
    }
  }
  return ids;
}

void FakeWorld::Audit(AuditEntry::Kind kind, const std::string& name, std::string exec_id,
                      std::string detail) {
  audit_.push_back({kind, Now(), name, std::move(exec_id), std::move(detail)});
  if (options_.auditor) options_.auditor(audit_.back());
}

FakeWorld::Sandbox& FakeWorld::Make(const std::string& name,
                                    std::map<std::string, std::string> labels) {
  Sandbox& sandbox = sandboxes_[name];
  sandbox.name = name;
  sandbox.handle = absl::StrCat("fake1:", next_instance_++, ":", name);
  sandbox.labels = std::move(labels);
  sandbox.created = Now();
  sandbox.created_wall = clock_->Now();
  Audit(AuditEntry::kCreate, name, "", sandbox.handle);
  ++made_;
  return sandbox;
}

FakeWorld::Sandbox* FakeWorld::ByHandle(const std::string& handle) {
  const std::vector<std::string> parts = absl::StrSplit(handle, absl::MaxSplits(':', 2));
  if (parts.size() != 3) return nullptr;
  const auto found = sandboxes_.find(parts[2]);
  return found == sandboxes_.end() || found->second.handle != handle ? nullptr : &found->second;
}

void FakeWorld::Execute(Sandbox& sandbox, const pb::LaunchRequest& launch) {
  Execution execution;
  execution.launch = launch;
  execution.launch.clear_secret_env();
  execution.behaviour = options_.script(launch);
  execution.started = Now();
  execution.started_wall = clock_->Now();
  pb::ExitRecord& end = execution.end;
  SetTimestamp(execution.started_wall, end.mutable_started_at());
  end.set_attester(v1::ATTESTER_PROVIDER);
  const Behaviour& behaviour = execution.behaviour;
  execution.ends = Now() + behaviour.run;
  if (behaviour.start_fails) {
    execution.ends = Now();
    end.clear_started_at();
    end.set_start_failed(true);
    end.set_message("execve: No such file or directory");
  } else if (behaviour.signal != 0) {
    end.set_signal(behaviour.signal);
  } else {
    end.set_exit_code(behaviour.exit_code);
  }
  if (!behaviour.start_fails) Audit(AuditEntry::kExecute, sandbox.name, launch.exec_id());
  sandbox.execution = std::move(execution);
  const nanoseconds timeout = ToChrono(launch.timeout());
  if (timeout > nanoseconds(0)) {
    const nanoseconds extra = behaviour.ignore_term ? ToChrono(launch.grace()) : nanoseconds(0);
    EndEarlier(sandbox, Now() + timeout + extra, [&](pb::ExitRecord& record) {
      SetSignal(record, behaviour.ignore_term ? 9 : 15);
      record.set_timed_out(true);
    });
  }
  AnnounceEnd(sandbox);
}

void FakeWorld::EndEarlier(Sandbox& sandbox, base::BootTime at,
                           const std::function<void(pb::ExitRecord&)>& change) {
  if (!sandbox.execution.has_value() || sandbox.execution->ends <= at || Ended(sandbox)) return;
  sandbox.execution->ends = at;
  change(sandbox.execution->end);
  if (at <= Now()) Spool(*sandbox.execution);  // before anyone can see the end
  AnnounceEnd(sandbox);
}

void FakeWorld::AnnounceEnd(Sandbox& sandbox) {
  const base::BootTime ends = sandbox.execution->ends;
  Schedule(ends, [this, name = sandbox.name, handle = sandbox.handle, ends] {
    Sandbox* sandbox = ByHandle(handle);
    if (sandbox == nullptr || !sandbox->execution || sandbox->execution->ends != ends) return;
    Spool(*sandbox->execution);
    const auto observers = observers_;
    for (const auto& [id, observer] : observers) observer(name);
  });
}

void FakeWorld::Remove(Sandbox& sandbox) {
  if (options_.delete_list_lag > nanoseconds(0)) {
    ghosts_[sandbox.name] = {ViewOf(sandbox), Now() + options_.delete_list_lag};
  }
  EndEarlier(sandbox, Now(), [](pb::ExitRecord& record) { SetSignal(record, 9); });
  sandboxes_.erase(sandbox.name);
}

void FakeWorld::Spool(Execution& execution) {
  if (execution.spooled || !options_.spool_writer) return;
  execution.spooled = true;
  const auto write = [&](const std::string& stream, int64_t total) {
    std::string data(static_cast<size_t>(Printed(execution, total, execution.ends)), '\0');
    for (size_t i = 0; i < data.size(); ++i) data[i] = OutputByte(static_cast<int64_t>(i));
    options_.spool_writer(execution.launch.spool(), stream, data);
  };
  write("stdout", execution.behaviour.stdout_bytes);
  write("stderr", execution.behaviour.stderr_bytes);
}

bool FakeWorld::Ended(const Sandbox& sandbox) const {
  if (!sandbox.execution.has_value()) return sandbox.rebooted;
  return sandbox.execution->before_reboot || sandbox.execution->ends <= Now();
}

int64_t FakeWorld::Printed(const Execution& execution, int64_t total, base::BootTime now) {
  if (execution.behaviour.start_fails) return 0;
  if (execution.before_reboot) now = execution.ends;
  const nanoseconds ran = std::min(now, execution.ends) - execution.started;
  if (ran >= execution.behaviour.run) return total;
  const double share =
      static_cast<double>(ran.count()) / static_cast<double>(execution.behaviour.run.count());
  return static_cast<int64_t>(share * static_cast<double>(total));
}

pb::ExitRecord FakeWorld::EndOf(const Execution& execution) const {
  pb::ExitRecord record = execution.end;
  const nanoseconds ran = execution.ends - execution.started;
  SetTimestamp(execution.started_wall + absl::FromChrono(ran), record.mutable_ended_at());
  record.set_stdout_bytes(Printed(execution, execution.behaviour.stdout_bytes, execution.ends));
  record.set_stderr_bytes(Printed(execution, execution.behaviour.stderr_bytes, execution.ends));
  record.set_fence_confirmed(true);
  return record;
}

pb::SandboxView FakeWorld::ViewOf(const Sandbox& sandbox) const {
  pb::SandboxView view;
  view.set_name(sandbox.name);
  view.set_handle(sandbox.handle);
  view.mutable_labels()->insert(sandbox.labels.begin(), sandbox.labels.end());
  SetTimestamp(sandbox.created_wall, view.mutable_created_at());
  view.set_boot_marker(true);
  view.set_isolation("fake");
  view.set_state(pb::SandboxView::CREATED);
  if (sandbox.execution.has_value()) {
    const Behaviour& behaviour = sandbox.execution->behaviour;
    const bool silent = behaviour.start_silent && !Ended(sandbox);
    const bool began = !behaviour.start_fails && !silent;
    view.set_started_marker(began);
    if (began) SetTimestamp(sandbox.execution->started_wall, view.mutable_started_at());
    view.set_state(silent ? pb::SandboxView::STARTING : pb::SandboxView::RUNNING);
  }
  if (!Ended(sandbox)) return view;
  view.set_state(pb::SandboxView::ENDED);
  if (sandbox.execution.has_value()) {
    *view.mutable_exit() = EndOf(*sandbox.execution);
  } else {  // a reboot ended it before anything was started in it
    view.mutable_exit()->set_lost(true);
    view.mutable_exit()->set_host_rebooted(true);
    view.mutable_exit()->set_start_failed(true);
    view.mutable_exit()->set_fence_confirmed(true);
  }
  return view;
}

}  // namespace boxkeeper::providers::testing
