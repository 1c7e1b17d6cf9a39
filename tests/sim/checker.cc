#include "tests/sim/checker.h"

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/core/states.h"
#include "daemon/core/task_table.h"

namespace boxkeeper::sim {
namespace {

using daemon::IsTerminal;
using providers::testing::AuditEntry;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::array kKinds{"create",  "start", "execute", "signal",
                            "destroy", "fence", "vanish",  "reboot"};
// What a decision may take beyond its time, on a disk that is slow.
constexpr seconds kSlack{3};

int64_t Millis(const google::protobuf::Duration& duration) {
  return duration.seconds() * 1'000 + duration.nanos() / 1'000'000;
}

int64_t Millis(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1'000 + time.nanos() / 1'000'000;
}

}  // namespace

void Checker::AfterStep() {
  for (Cloud& cloud : world_.clouds) ReadAudit(cloud);
  if (!life_.up() || trace_.failed()) return;
  readers_.CheckGaps();
  CheckLeaks();
  CheckBounds();
  for (const auto& [generation, task] : durable_.tasks()) {
    if (!IsTerminal(task.status.state())) CheckTask(task);
  }
}

// --- what really happened ---

void Checker::ReadAudit(Cloud& cloud) {
  size_t& next = audited_[&cloud];
  const auto& audit = cloud.world->audit();
  for (; next < audit.size(); ++next) {
    const AuditEntry& entry = audit[next];
    trace_.Say(absl::StrCat("world ", kKinds[entry.kind], " ", entry.name, " ", entry.exec_id, " ",
                            entry.detail));
    OnEntry(cloud, entry);
  }
}

void Checker::OnEntry(Cloud& cloud, const AuditEntry& entry) {
  const bool stranger = cloud.strangers.contains(entry.name);
  switch (entry.kind) {
    case AuditEntry::kReboot:
      return OnReboot(boots_[&cloud]++, entry.at);
    case AuditEntry::kCreate:
      gone_.erase(entry.name);
      if (stranger || durable_.EverIntended(entry.name)) return;
      return Fail("I4", absl::StrCat(entry.name, " was created, and no record ever said so"));
    case AuditEntry::kExecute:
      return OnExecute(entry, boots_[&cloud]);
    case AuditEntry::kDestroy:
    case AuditEntry::kVanish:
      if (entry.detail != "absent") gone_.emplace(entry.name, Moment{entry.at, boots_[&cloud]});
      [[fallthrough]];
    case AuditEntry::kSignal:
    case AuditEntry::kFence:
      if (stranger) Fail("I6", absl::StrCat(entry.name, " is not ours, and was touched"));
      return;
    default:
      return;
  }
}

// The host went down, and all that ran on it.
void Checker::OnReboot(int boot, base::BootTime at) {
  for (const auto& [exec_id, execution] : executions_) {
    if (execution.boot == boot) gone_.emplace(execution.sandbox, Moment{at, boot});
  }
}

void Checker::OnExecute(const AuditEntry& entry, int boot) {
  if (excused_.contains(entry.exec_id)) return;
  Execution& execution = executions_[entry.exec_id];
  ++execution.times;
  execution.sandbox = entry.name;
  execution.at = entry.at;
  execution.boot = boot;
  if (execution.times > 1) {
    Fail("I3", absl::StrCat("user code of ", entry.exec_id, " began ", execution.times, " times",
                            AuditOf(entry.exec_id)));
  }
  const Submission* submission = clients_.FindById(entry.exec_id);
  if (submission == nullptr) return;
  CheckKey(*submission);
  if (submission->never_starts) {
    Fail("I12", absl::StrCat(entry.exec_id, " began after its cancel was acknowledged"));
  }
  if (!submission->ended.has_value() || entry.at <= submission->ended_at) return;
  const bool unfenced = submission->ended->message().find("not confirmed") != std::string::npos;
  if (!unfenced) Fail("I3", absl::StrCat(entry.exec_id, " began after its end was told"));
}

// A key has one live task: its successor waits until nothing of it can run.
void Checker::CheckKey(const Submission& begins) {
  for (Cloud& cloud : world_.clouds) {
    for (const std::string& exec_id : cloud.world->RunningExecIds()) {
      const Submission* other = clients_.FindById(exec_id);
      if (other == nullptr || other == &begins || other->key != begins.key) continue;
      const bool unfenced = other->ended.has_value() &&
                            other->ended->message().find("not confirmed") != std::string::npos;
      if (!unfenced) Fail("I3", absl::StrCat(begins.id, " began while ", exec_id, " runs"));
    }
  }
}

// What is said to be fenced runs no more.
void Checker::CheckFenced(const DurableTask& task) {
  // Of before a restored backup, another sandbox may run on.
  if (excused_.contains(task.id)) return;
  if (!IsTerminal(task.status.state()) || !task.status.fenced()) return;
  if (task.status.message().find("not confirmed") != std::string::npos) return;
  for (Cloud& cloud : world_.clouds) {
    for (const std::string& exec_id : cloud.world->RunningExecIds()) {
      if (exec_id != task.id) continue;
      Fail("I12",
           absl::StrCat(exec_id, " ended ", std::string(daemon::ReasonName(task.status.reason())),
                        ", and still runs"));
    }
  }
}

std::string Checker::AuditOf(const std::string& exec_id) const {
  std::set<std::string> names;
  for (const Cloud& cloud : world_.clouds) {
    for (const AuditEntry& entry : cloud.world->audit()) {
      if (entry.exec_id == exec_id) names.insert(entry.name);
    }
  }
  std::string out;
  for (const Cloud& cloud : world_.clouds) {
    for (const AuditEntry& entry : cloud.world->audit()) {
      if (!names.contains(entry.name) && !entry.name.empty()) continue;
      absl::StrAppend(&out, "\n  ", entry.at.time_since_epoch().count(), " ", kKinds[entry.kind],
                      " ", entry.name, " ", entry.exec_id, " ", entry.detail);
    }
  }
  return out;
}

void Checker::Forget() {
  for (const auto& [exec_id, execution] : executions_) excused_.insert(exec_id);
  for (const auto& [generation, task] : durable_.tasks()) excused_.insert(task.id);
  executions_.clear();
  unheld_.clear();
  running_.clear();
}

// --- sandboxes that stay (I5) ---

void Checker::CheckLeaks() {
  std::map<std::string, base::BootTime> unheld;
  for (Cloud& cloud : world_.clouds) {
    const std::vector<std::string> names = cloud.world->SandboxNames();
    for (const std::string& name : names) {
      if (cloud.strangers.contains(name) || durable_.IsHeld(name)) continue;
      const auto before = unheld_.find(name);
      const base::BootTime seen = before == unheld_.end() ? Now() : before->second;
      const base::BootTime since = std::max(seen, cloud.calm_since);
      unheld[name] = since;
      if (life_.restored() || !cloud.calm()) continue;
      if (Since(since) <= LeakBound(cloud, names.size())) continue;
      Fail("I5", absl::StrCat(name, " has been without a lease for ",
                              absl::FormatDuration(absl::FromChrono(Since(since)))));
    }
  }
  unheld_ = std::move(unheld);
}

// Two poll cycles and 60 s, and what slow answers and a back-off from worse times take.
base::BootClock::duration Checker::LeakBound(const Cloud& cloud, size_t sandboxes) const {
  constexpr seconds kBound{60};
  base::BootClock::duration slowest{0};
  for (const auto& verb : cloud.plan.faults.verbs) {
    slowest = std::max(slowest, std::max(verb.latency.max, verb.latency.tail_max));
  }
  const auto& limits = plan_.core.providers.at(cloud.plan.name);
  slowest = std::min<base::BootClock::duration>(slowest, limits.call_timeout);
  const size_t rounds = 4 + sandboxes / static_cast<size_t>(limits.cleanup_concurrency) +
                        sandboxes / static_cast<size_t>(std::max(1, cloud.plan.faults.page_size));
  // A call that hung when the provider came back still has its time.
  return 2 * plan_.core.poll_interval + kBound + kSlack + plan_.core.retry_max +
         limits.call_timeout + static_cast<int64_t>(rounds) * slowest;
}

// --- clocks (I13) ---

// Not before its time.
void Checker::OnMove(const DurableTask& task) {
  for (Cloud& cloud : world_.clouds) ReadAudit(cloud);
  CheckFenced(task);
  const v1::Reason reason = task.status.reason();
  if (task.status.state() == v1::TASK_STATE_RUNNING) running_[task.generation] = Now();
  const Submission* submission = clients_.FindById(task.id);
  const v1::SandboxSpec& spec = task.accepted.spec();
  if (reason == v1::REASON_RUN_TIMEOUT) {
    const auto execution = executions_.find(task.id);
    if (execution == executions_.end() || execution->second.boot != world_.reboots) return;
    if (Now() - execution->second.at < milliseconds(Millis(spec.timeout()))) {
      Fail("I13", absl::StrCat("the timeout of ", task.id, " struck too early"));
    }
  }
  const bool same_boot = submission != nullptr && submission->accepted_at.has_value() &&
                         submission->accepted_boot == world_.reboots;
  if (reason == v1::REASON_EXPIRED && same_boot) {
    const milliseconds left(Millis(spec.start_deadline()) - task.accepted.accepted_at_ms());
    if (Now() + milliseconds(1) < *submission->accepted_at + left) {
      Fail("I13", absl::StrCat("the start deadline of ", task.id, " struck too early"));
    }
  }
}

void Checker::CheckTask(const DurableTask& task) {
  const v1::TaskState state = task.status.state();
  if (state == v1::TASK_STATE_RUNNING) {
    running_.emplace(task.generation, Now());
    CheckTimeout(task);
  }
  const Submission* submission = clients_.FindById(task.id);
  if (submission == nullptr || !submission->accepted_at.has_value()) return;
  if (submission->accepted_boot != world_.reboots) return;
  CheckDeadline(task, *submission);
  CheckLease(task, *submission);
}

void Checker::CheckDeadline(const DurableTask& task, const Submission& submission) {
  const v1::SandboxSpec& spec = task.accepted.spec();
  const v1::TaskState state = task.status.state();
  const bool waits = state == v1::TASK_STATE_QUEUED || state == v1::TASK_STATE_CREATING;
  if (!spec.has_start_deadline() || !waits) return;
  const milliseconds left(Millis(spec.start_deadline()) - task.accepted.accepted_at_ms());
  if (Since(*submission.accepted_at + left) <= kSlack) return;
  Fail("I13", absl::StrCat("the start deadline of ", task.id, " has passed, and it still waits"));
}

void Checker::CheckTimeout(const DurableTask& task) {
  if (!task.accepted.spec().has_timeout()) return;
  const auto execution = executions_.find(task.id);
  if (execution == executions_.end() || execution->second.boot != world_.reboots) return;
  const milliseconds timeout(Millis(task.accepted.spec().timeout()));
  const milliseconds grace = task.accepted.spec().has_grace()
                                 ? milliseconds(Millis(task.accepted.spec().grace()))
                                 : plan_.core.cancel_grace;
  constexpr seconds kBackUpMargin{5};
  const base::BootTime seen = running_.at(task.generation);
  if (Since(seen + timeout + grace + kBackUpMargin) <= kSlack) return;
  Fail("I13", absl::StrCat(task.id, " runs longer than its timeout"));
}

void Checker::CheckLease(const DurableTask& task, const Submission& submission) {
  const v1::Lease& lease = task.accepted.lease();
  if (!task.accepted.has_lease() || lease.on_lapse() != v1::Lease::CANCEL) return;
  const milliseconds ttl(Millis(lease.ttl()));
  const store::v1::TaskStatus& status = task.status;
  if (status.stop().reason() == v1::REASON_CLIENT_LOST) {
    if (plan_.Has(Fault::kClockJump)) return;
    // Known to a millisecond. A renewal that came too late changes nothing.
    const milliseconds ago(absl::ToUnixMillis(life_.clock().Now()) - status.stop().at_ms());
    const base::BootTime decided = Now() - ago;
    const milliseconds unsure(1);
    const bool renewed_before = submission.renewed_at <= decided - unsure;
    if (renewed_before && decided + unsure - submission.renewed_at < ttl) {
      Fail("I13", absl::StrCat("the lease of ", task.id, " lapsed too early"));
    }
    return;
  }
  // The readers of an owner's stream renew the leases of its tasks.
  const bool nobody = task.owner.empty() && status.state() != v1::TASK_STATE_STOPPING;
  if (nobody && Since(submission.renewed_at + ttl) > ttl + kSlack) {
    Fail("I13", absl::StrCat("the lease of ", task.id, " does not lapse"));
  }
}

// --- bounds (I10) ---

void Checker::CheckBounds() {
  const v1::GetCapacityResponse capacity = life_.core().GetCapacity();
  if (capacity.running() > plan_.core.max_running) {
    Fail("I10",
         absl::StrCat(capacity.running(), " tasks run, max_running is ", plan_.core.max_running));
  }
  // A task whose create failed goes back to the queue, whatever waits there.
  if (capacity.queued() > plan_.core.max_queued + plan_.core.max_running) {
    Fail("I10",
         absl::StrCat(capacity.queued(), " tasks wait, max_queued is ", plan_.core.max_queued));
  }
}

// --- memory and store (I9) ---

void Checker::CheckReplay() {
  if (!life_.core().AllDurable()) return;
  trace_.Sometimes("replay compared");
  daemon::TaskTable replayed;
  absl::Status loaded =
      life_.store().Load([&replayed](store::Position position, std::string_view bytes) {
        store::v1::Record record;
        if (!record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
          return absl::DataLossError("a record");
        }
        return replayed.Apply(position, record);
      });
  if (!loaded.ok()) return Fail("I9", loaded.ToString());
  if (replayed.Fingerprint() == life_.core().Fingerprint()) return;
  Fail("I9", "replay differs\n--- memory\n" + life_.core().Fingerprint() + "--- replayed\n" +
                 replayed.Fingerprint());
}

// --- the end ---

void Checker::CheckEnd() {
  for (Cloud& cloud : world_.clouds) {
    std::set<std::string> left;
    for (const std::string& name : cloud.world->SandboxNames()) left.insert(name);
    for (const std::string& name : cloud.strangers) {
      if (left.erase(name) == 0) Fail("I6", absl::StrCat(name, " is not ours, and is gone"));
    }
    for (const std::string& name : left) Fail("I5", absl::StrCat("leaked ", name));
  }
  for (const auto& [generation, task] : durable_.tasks()) {
    if (IsTerminal(task.status.state())) {
      CheckRecorded(task);
      continue;
    }
    Fail("I1", absl::StrCat("no end of ", task.id, ", it is ",
                            std::string(daemon::StateName(task.status.state()))));
  }
  readers_.CheckEnd();
  CheckReplay();
  for (const SubmissionPtr& submission : clients_.all()) CheckSubmission(*submission);
}

// However it ended, its exit record is stored, and told to be.
void Checker::CheckRecorded(const DurableTask& task) {
  if (!task.status.log_complete()) {
    Fail("I8", absl::StrCat("nobody was told that the log of ", task.id, " is stored"));
  } else if (!life_.HasExitRecord(task.id)) {
    Fail("I8", absl::StrCat(task.id, " has no exit record"));
  }
  if (task.status.user_code_started() == v1::USER_CODE_STARTED_NO) {
    trace_.Sometimes("exit record of what never started");
  }
}

void Checker::CheckSubmission(const Submission& submission) {
  if (!submission.acknowledged) return;
  const DurableTask* task = durable_.FindTaskById(submission.id);
  if (task == nullptr && !submission.ended.has_value()) return;  // compacted, nobody was told
  const v1::Reason reason = task == nullptr ? submission.ended->reason() : task->status.reason();
  trace_.Sometimes(absl::StrCat("end ", std::string(daemon::ReasonName(reason))));
  if (submission.ended.has_value()) CheckSuccess(submission);
}

void Checker::CheckSuccess(const Submission& submission) {
  const v1::Task& end = *submission.ended;
  const std::string& id = submission.id;
  const auto execution = executions_.find(id);
  const bool ran = execution != executions_.end();
  if (ran && end.reason() == v1::REASON_START_FAILED) trace_.Sometimes("silent start ended");
  if (end.user_code_started() == v1::USER_CODE_STARTED_NO && ran) {
    Fail("I11", absl::StrCat("said that user code of ", id, " did not start"));
  }
  if (end.user_code_started() == v1::USER_CODE_STARTED_YES && !ran) {
    Fail("I11", absl::StrCat("said that user code of ", id, " started"));
  }
  if (end.reason() == v1::REASON_EXIT_CODE && end.exit_code() != submission.exit_code) {
    Fail("I11", absl::StrCat("the exit code of ", id, " is wrong"));
  }
  if (end.state() != v1::TASK_STATE_SUCCEEDED) return;
  const bool can_succeed =
      submission.exit_code == 0 && submission.signal == 0 && !submission.start_fails;
  if (!ran || !can_succeed) return Fail("I11", absl::StrCat("success of ", id, " is a lie"));
  const auto gone = gone_.find(execution->second.sandbox);
  if (gone == gone_.end() || execution->second.boot != gone->second.boot) return;
  if (gone->second.at < execution->second.at + submission.run) {
    Fail("I11", absl::StrCat("success of ", id, ", whose sandbox went before it could end"));
  }
}

}  // namespace boxkeeper::sim
