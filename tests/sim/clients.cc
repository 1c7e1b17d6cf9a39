#include "tests/sim/clients.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/task_key.h"
#include "daemon/core/states.h"
#include "daemon/submit/packed_task.h"

namespace boxkeeper::sim {
namespace {

using daemon::IsTerminal;
using std::chrono::milliseconds;

google::protobuf::Duration Duration(milliseconds time) {
  google::protobuf::Duration out;
  out.set_seconds(time.count() / 1'000);
  out.set_nanos(static_cast<int32_t>(time.count() % 1'000 * 1'000'000));
  return out;
}

google::protobuf::Timestamp Timestamp(absl::Time time) {
  const int64_t millis = absl::ToUnixMillis(time);
  google::protobuf::Timestamp out;
  out.set_seconds(millis / 1'000);
  out.set_nanos(static_cast<int32_t>(millis % 1'000 * 1'000'000));
  return out;
}

std::string Bytes(const base::Id128& id) {
  return std::string(reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size());
}

}  // namespace

SubmissionPtr Clients::Any(Draws& draws) const {
  if (submissions_.empty()) return nullptr;
  return submissions_[static_cast<size_t>(draws.Below(static_cast<int64_t>(submissions_.size())))];
}

SubmissionPtr Clients::AnyKnown(Draws& draws) const {
  const SubmissionPtr submission = Any(draws);
  return submission == nullptr || submission->id.empty() ? nullptr : submission;
}

const Submission* Clients::FindById(const std::string& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second.get();
}

void Clients::DrawCommand(Draws& draws, Submission& submission) {
  submission.run = draws.Chance(0.3) ? milliseconds(0) : draws.Wide(1, 60'000);
  std::string command = absl::StrCat("sim run=", submission.run.count(), "ms");
  const double dice = draws.Unit();
  if (dice < 0.2) {
    submission.exit_code = static_cast<int>(draws.Number(1, 100));
    absl::StrAppend(&command, " exit=", submission.exit_code);
  } else if (dice < 0.3) {
    submission.signal = 9;
    absl::StrAppend(&command, " signal=9");
  } else if (dice < 0.35) {
    submission.start_fails = true;
    absl::StrAppend(&command, " start_fails");
  } else if (dice < 0.4) {
    absl::StrAppend(&command, " ignore_term");
  } else if (dice < 0.45 && plan_.Has(Fault::kSilentStart)) {
    submission.run = std::chrono::hours(24);
    command = "sim run=24h start_silent";
  }
  // Without a draw, so that nothing else changes with it.
  absl::StrAppend(&command, " out=", submission.run.count() % 7 * 150,
                  " err=", command.size() % 3 * 40);
  if (plan_.Has(Fault::kTimeouts) && draws.Chance(0.3)) {
    *submission.record.mutable_spec()->mutable_timeout() = Duration(draws.Wide(1, 60'000));
    if (draws.Chance(0.5)) absl::StrAppend(&command, " no_limit");
  }
  submission.record.mutable_command()->set_shell(command);
}

void Clients::DrawSpec(Draws& draws, Submission& submission) {
  store::v1::Accepted& record = submission.record;
  record.set_owner(draws.Chance(0.9) ? "sim" : "");
  v1::SandboxSpec& spec = *record.mutable_spec();
  const int64_t cloud = draws.Below(static_cast<int64_t>(world_.clouds.size()));
  spec.add_provider(world_.clouds[static_cast<size_t>(cloud)].plan.name);
  spec.set_priority(static_cast<int32_t>(draws.Below(3)));
  if (draws.Chance(0.3)) *spec.mutable_grace() = Duration(draws.Wide(1, 5'000));
  if (plan_.Has(Fault::kBigTasks) && draws.Chance(0.4)) {
    (*spec.mutable_env())["BIG"] = std::string(1'500, 'x');
  }
  if (plan_.Has(Fault::kDeadlines) && draws.Chance(0.3)) {
    const auto left = draws.Chance(0.1) ? milliseconds(-1'000) : draws.Wide(1, 30'000);
    *spec.mutable_start_deadline() = Timestamp(life_.clock().Now() + absl::FromChrono(left));
  }
  if (plan_.Has(Fault::kLeases) && draws.Chance(0.4)) {
    *record.mutable_lease()->mutable_ttl() = Duration(draws.Wide(500, 20'000));
    record.mutable_lease()->set_on_lapse(draws.Chance(0.9) ? v1::Lease::CANCEL : v1::Lease::KEEP);
    // Its owner reads no events: only renewals keep the lease.
    if (draws.Chance(0.7)) record.set_owner("");
  }
}

void Clients::SubmitNew(Draws& draws) {
  auto submission = std::make_shared<Submission>();
  submission->submission_id = {draws.rng().NewId()};
  v1::TaskKey key;
  key.set_name(absl::StrCat("task", draws.Below(25)));
  key = base::NormalKey(key);
  submission->key = base::KeyString(key);
  *submission->record.mutable_key() = key;
  DrawCommand(draws, *submission);
  DrawSpec(draws, *submission);
  const double dice = draws.Unit();
  if (dice < 0.3) submission->on_live_key = v1::ON_LIVE_KEY_AFTER;
  if (dice < 0.1) submission->on_live_key = v1::ON_LIVE_KEY_REPLACE;
  submissions_.push_back(submission);
  by_uuid_[submission->submission_id.id.ToUuid()] = submission;
  Send(submission, false);
}

void Clients::SubmitAgain(Draws& draws) {
  const SubmissionPtr submission = Any(draws);
  if (submission == nullptr || IsLongAgo(*submission)) return;
  for (int64_t i = draws.Number(1, 4); i > 0; --i) Send(submission, false);
}

// Its tombstone may be dropped one day; then it would be taken as new.
bool Clients::IsLongAgo(const Submission& submission) const {
  constexpr std::chrono::minutes kRemembered{30};
  if (!submission.accepted_at.has_value()) return false;
  return submission.accepted_boot != world_.reboots ||
         life_.clock().Boot() - *submission.accepted_at > kRemembered;
}

void Clients::SubmitChanged(Draws& draws) {
  const SubmissionPtr submission = AnyKnown(draws);
  if (submission == nullptr || !submission->acknowledged || IsLongAgo(*submission)) return;
  Send(submission, true);
}

void Clients::Send(const SubmissionPtr& submission, bool changed) {
  daemon::PreparedTask item;
  item.submission_id = submission->submission_id;
  item.digest = absl::StrCat(submission->submission_id.ToString(), changed ? "'" : "");
  item.key = submission->key;
  item.record = submission->record;
  item.on_live_key = submission->on_live_key;
  std::vector<daemon::PackedTask> items;
  items.push_back(daemon::Pack(std::move(item)));
  const bool new_to_it = !durable_.KnowsSubmission(Bytes(submission->submission_id.id));
  const base::BootTime now = life_.clock().Boot();
  life_.core().Submit(
      std::move(items), [this, submission, changed, new_to_it, now,
                         boot = world_.reboots](absl::StatusOr<v1::SubmitTasksResponse> response) {
        if (!response.ok() || !life_.MayBeHeard()) return;
        const v1::SubmitResult& result = response->results(0);
        trace_.Sometimes(absl::StrCat("submit ", v1::SubmitResult::Outcome_Name(result.outcome())));
        const bool taken = result.outcome() == v1::SubmitResult::ACCEPTED ||
                           result.outcome() == v1::SubmitResult::DUPLICATE;
        if (result.outcome() == v1::SubmitResult::QUEUE_FULL && !result.has_retry_after()) {
          trace_.Fail("I10", "overload without a hint when to come again");
        }
        if (!taken) return;
        if (changed) return trace_.Fail("I2", "another body was taken for the same task");
        if (new_to_it && !submission->accepted_at.has_value()) {
          submission->accepted_at = now;
          submission->accepted_boot = boot;
          submission->renewed_at = now;
        }
        OnSubmitted(*submission, result);
      });
}

void Clients::OnSubmitted(Submission& submission, const v1::SubmitResult& result) {
  trace_.Say(absl::StrCat("submitted ", result.id()));
  if (!durable_.KnowsSubmission(Bytes(submission.submission_id.id))) {
    trace_.Fail("I1", absl::StrCat("task ", result.id(), " was acknowledged, and is not durable"));
  }
  if (!submission.id.empty() && submission.id != result.id()) {
    trace_.Fail("I2",
                absl::StrCat("one submission, two tasks: ", submission.id, " and ", result.id()));
  }
  if (submission.acknowledged && result.outcome() == v1::SubmitResult::ACCEPTED) {
    trace_.Fail("I2", absl::StrCat(result.id(), " was accepted twice"));
  }
  submission.acknowledged = true;
  submission.id = result.id();
  by_id_[submission.id] = by_uuid_.at(submission.submission_id.id.ToUuid());
}

void Clients::Cancel(Draws& draws) {
  const SubmissionPtr submission = AnyKnown(draws);
  if (submission == nullptr) return;
  v1::CancelTasksRequest request;
  request.add_tasks()->set_id(submission->id);
  request.set_force(draws.Chance(0.2));
  if (draws.Chance(0.3)) *request.mutable_grace() = Duration(draws.Wide(1, 2'000));
  life_.Call<absl::StatusOr<v1::CancelTasksResponse>>(
      life_.core().CancelTasks(request),
      [this, submission](absl::StatusOr<v1::CancelTasksResponse> response) {
        if (response.ok()) OnCancelled(*submission, response->results(0));
      });
}

void Clients::OnCancelled(Submission& submission, const v1::CancelResult& result) {
  const auto outcome = result.outcome();
  trace_.Sometimes(absl::StrCat("cancel ", v1::CancelResult::Outcome_Name(outcome)));
  trace_.Say(absl::StrCat("cancelled ", submission.id, " ", outcome));
  if (outcome == v1::CancelResult::CANCELLED) submission.never_starts = true;
  const bool answered =
      outcome == v1::CancelResult::CANCELLED || outcome == v1::CancelResult::STOPPING;
  const DurableTask* task = durable_.FindTaskById(submission.id);
  if (!answered || task == nullptr) return;
  const v1::TaskState state = task->status.state();
  const bool durable = IsTerminal(state) ||
                       (outcome == v1::CancelResult::STOPPING && state == v1::TASK_STATE_STOPPING);
  if (!durable) {
    trace_.Fail("I12", absl::StrCat("the cancel of ", submission.id,
                                    " was acknowledged, and is not durable"));
  }
}

void Clients::Wait(Draws& draws) {
  const SubmissionPtr submission = AnyKnown(draws);
  if (submission == nullptr) return;
  v1::WaitTaskRequest request;
  request.add_ids(submission->id);
  request.mutable_timeout()->set_seconds(draws.Below(20));
  life_.Call<absl::StatusOr<v1::WaitTaskResponse>>(
      life_.core().WaitTask(request),
      [this, submission](absl::StatusOr<v1::WaitTaskResponse> response) {
        if (!response.ok()) return;
        trace_.Sometimes(response->timed_out() ? "wait timed out" : "wait told an end");
        Told(response->tasks(0));
        if (!response->timed_out() && !IsTerminal(response->tasks(0).state())) {
          trace_.Fail("life", absl::StrCat("a wait ended before ", submission->id, " did"));
        }
      });
}

void Clients::Get(Draws& draws) {
  const SubmissionPtr submission = AnyKnown(draws);
  if (submission == nullptr) return;
  v1::GetTaskRequest request;
  request.mutable_task()->set_id(submission->id);
  life_.Call<absl::StatusOr<v1::Task>>(life_.core().GetTask(request),
                                       [this](absl::StatusOr<v1::Task> task) {
                                         if (task.ok()) Told(*task);
                                       });
}

void Clients::List(Draws& draws) {
  life_.Spawn(ListAll(static_cast<int32_t>(draws.Number(1, 10))));
}

asio::awaitable<void> Clients::ListAll(int32_t page_size) {
  const int64_t life = life_.number();
  std::vector<SubmissionPtr> known;
  for (const SubmissionPtr& submission : submissions_) {
    if (submission->acknowledged) known.push_back(submission);
  }
  std::vector<std::string> listed;
  v1::ListTasksRequest request;
  request.set_page_size(page_size);
  do {
    auto page = co_await life_.core().ListTasks(request);
    if (!page.ok() || life_.number() != life || !life_.MayBeHeard()) co_return;
    for (const v1::Task& task : page->tasks()) {
      listed.push_back(task.id());
      Told(task);
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  trace_.Sometimes("listed all");
  CheckList(listed, known);
}

void Clients::CheckList(const std::vector<std::string>& listed,
                        const std::vector<SubmissionPtr>& known) {
  const std::set<std::string> once(listed.begin(), listed.end());
  if (once.size() != listed.size()) trace_.Fail("I2", "a list shows a task twice");
  for (const SubmissionPtr& submission : known) {
    // The core forgets what it compacts before that is durable.
    const DurableTask* task = durable_.FindTaskById(submission->id);
    if (task == nullptr || IsTerminal(task->status.state())) continue;
    if (!once.contains(submission->id)) {
      trace_.Fail("I1", absl::StrCat("a list lacks ", submission->id));
    }
  }
}

void Clients::Adopt(Draws& draws, const std::string& new_owner) {
  const SubmissionPtr submission = AnyKnown(draws);
  // Only a task with an owner has somebody who would be told.
  if (submission == nullptr || submission->record.owner().empty()) return;
  v1::AdoptTasksRequest request;
  request.set_new_owner(new_owner);
  request.add_tasks()->set_id(submission->id);
  life_.Call<absl::StatusOr<v1::AdoptTasksResponse>>(
      life_.core().AdoptTasks(request), [this](absl::StatusOr<v1::AdoptTasksResponse> response) {
        if (!response.ok()) return;
        const v1::AdoptResult& result = response->results(0);
        trace_.Sometimes(absl::StrCat("adopt ", v1::AdoptResult::Outcome_Name(result.outcome())));
        if (result.has_task()) Told(result.task());
      });
}

void Clients::Renew(Draws& draws) {
  const SubmissionPtr submission = AnyKnown(draws);
  if (submission == nullptr || !submission->record.has_lease()) return;
  v1::RenewLeaseRequest request;
  request.add_ids(submission->id);
  auto response = life_.core().RenewLease(request);
  if (!response.ok() || !response->not_found().empty()) return;
  trace_.Sometimes("lease renewed");
  submission->renewed_at = life_.clock().Boot();
}

void Clients::Abandon(Draws& draws) {
  const SubmissionPtr submission = AnyKnown(draws);
  if (submission == nullptr) return;
  v1::AbandonTaskRequest request;
  request.set_id(submission->id);
  life_.Call<absl::StatusOr<v1::AbandonTaskResponse>>(
      life_.core().AbandonTask(request), [this](absl::StatusOr<v1::AbandonTaskResponse> response) {
        if (!response.ok()) return;
        trace_.Sometimes("abandoned");
        Told(response->task());
      });
}

void Clients::SetDrain(bool on) {
  drain_ = on;
  const int64_t call = ++drain_calls_;
  v1::DrainRequest request;
  request.set_off(!on);
  life_.Call<absl::StatusOr<v1::DrainResponse>>(
      life_.core().Drain(request), [this, on, call](absl::StatusOr<v1::DrainResponse> response) {
        if (!response.ok()) return;
        trace_.Sometimes(on ? "drain" : "drain off");
        if (call == drain_calls_ && durable_.drain() != on)
          trace_.Fail("I1", "a drain is not durable");
      });
}

// What somebody was told of an end is durable, and never changes.
void Clients::Told(const v1::Task& task) {
  const auto found = by_uuid_.find(task.submission_id());
  if (found == by_uuid_.end() || found->second->excused) return;
  Submission& submission = *found->second;
  if (submission.id.empty()) {
    submission.id = task.id();
    by_id_[submission.id] = found->second;
  }
  if (submission.id != task.id()) return trace_.Fail("I2", "two tasks of one submission");
  if (!IsTerminal(task.state())) return;
  if (submission.ended.has_value()) {
    const bool same = submission.ended->state() == task.state() &&
                      submission.ended->reason() == task.reason() &&
                      submission.ended->exit_code() == task.exit_code();
    if (!same) trace_.Fail("I1", absl::StrCat("the end of ", task.id(), " changed"));
    return;
  }
  const DurableTask* durable = durable_.FindTask(task.generation());
  const bool is_durable = durable == nullptr ? durable_.IsCompacted(task.generation())
                                             : durable->status.state() == task.state();
  if (!is_durable) {
    trace_.Fail("I1", absl::StrCat("the end of ", task.id(), " was told, and is not durable"));
  }
  submission.ended = task;
  submission.ended_at = life_.clock().Boot();
  trace_.Say(absl::StrCat("ended ", task.id(), " ", v1::Reason_Name(task.reason())));
}

void Clients::Forget() {
  for (const SubmissionPtr& submission : submissions_) {
    submission->excused = true;
    submission->ended.reset();
    submission->never_starts = false;
    submission->acknowledged = false;
  }
  by_id_.clear();
  by_uuid_.clear();
  submissions_.clear();
}

}  // namespace boxkeeper::sim
