#include "cli/run_command.h"

#include <condition_variable>
#include <mutex>
#include <thread>

#include "absl/strings/str_cat.h"
#include "cli/artifact_commands.h"
#include "cli/escape.h"
#include "cli/exit_code.h"
#include "cli/human.h"
#include "cli/log_copy.h"
#include "cli/patience.h"
#include "cli/rpc_error.h"
#include "cli/submit_command.h"

namespace boxkeeper::cli {
namespace {

constexpr absl::Duration kWaitSlice = absl::Seconds(60);  // of one WaitTask call

// One foreground run. The main thread waits for the end; one thread copies each stream, one renews
// the lease, one sends cancellations; the console's own thread reports Ctrl-C. All end with
// Client::Stop at the latest.
class Foreground {
 public:
  Foreground(Session& session, const RunOptions& options, std::vector<WantedOutput> wanted_outputs)
      : session_(session),
        console_(session.console()),
        options_(options),
        wanted_outputs_(std::move(wanted_outputs)) {}

  int Run(Submission submission) {
    v1::TaskSpec& spec = submission.spec;
    auto interrupts = console_.watch_interrupts([this](int count) { Interrupted(count); });
    ToProto(options_.lease_ttl, spec.mutable_lease()->mutable_ttl());
    spec.mutable_lease()->set_on_lapse(v1::Lease::CANCEL);
    Client& client = session_.client();
    {
      std::lock_guard lock(mutex_);
      client_ = &client;
    }
    auto result = SubmitOne(session_, submission);
    if (!result.ok()) return gave_up() ? kExitInterrupted : session_.Fail(result.status());
    {
      std::lock_guard lock(mutex_);
      id_ = result->id();
    }
    console_.Progress(absl::StrCat("task ", id_));
    return Follow(client);
  }

 private:
  int Follow(Client& client) {
    absl::Status out_status, err_status;
    std::thread lease([&] { RenewLease(client); });
    std::thread cancel([&] { SendCancels(client); });
    std::thread out([&] { out_status = Copy(client, v1::ReadLogRequest::STDOUT); });
    std::thread err([&] { err_status = Copy(client, v1::ReadLogRequest::STDERR); });
    auto task = WaitForEnd(client);
    {
      std::lock_guard lock(mutex_);
      ended_ = true;
    }
    if (!task.ok()) client.Stop();
    out.join();
    err.join();
    absl::Status fetched;
    if (task.ok()) fetched = FetchOutputs(session_, id_, wanted_outputs_);
    client.Stop();
    {
      std::lock_guard lock(mutex_);  // else SendCancels could miss it between its look and its wait
      changed_.notify_all();
    }
    lease.join();
    cancel.join();
    if (gave_up()) {
      console_.err(absl::StrCat("boxctl: gave up waiting for task ", id_, "\n"));
      return kExitInterrupted;
    }
    if (!task.ok()) return session_.Fail(task.status());
    absl::Status copied = out_status.ok() ? err_status : out_status;
    if (!fetched.ok()) copied = fetched;
    return Conclude(*task, copied);
  }

  int Conclude(const v1::Task& task, const absl::Status& copied) {
    int code = ExitCodeOf(task);
    if (!copied.ok() && ErrorReason(copied) != "OUTPUT_CLOSED") {
      console_.err(ErrorText(copied));
      // Its output is not all here: that is no success of ours.
      if (code == kExitOk) code = kExitOurs;
    }
    const bool ours = code == kExitOurs || task.reason() == v1::REASON_RUN_TIMEOUT ||
                      task.reason() == v1::REASON_OOM;
    if (ours) console_.err(absl::StrCat("boxctl: ", EndLine(task), "\n"));
    return code;
  }

  absl::StatusOr<v1::Task> WaitForEnd(Client& client) {
    v1::WaitTaskRequest request;
    request.add_ids(id_);
    ToProto(kWaitSlice, request.mutable_timeout());
    Patience patience(console_, client, true);
    for (;;) {
      auto answer = client.WaitTask(request);
      if (!answer.ok()) {
        if (patience.TryAgain(answer.status())) continue;
        return answer.status();
      }
      patience.Answered();
      if (answer->tasks_size() == 1 && IsTerminal(answer->tasks(0).state())) {
        return answer->tasks(0);
      }
    }
  }

  absl::Status Copy(Client& client, v1::ReadLogRequest::Stream stream) {
    const bool is_out = stream == v1::ReadLogRequest::STDOUT;
    const auto& write = is_out ? console_.out : console_.err;
    const bool escape =
        !options_.raw && (is_out ? console_.out_is_terminal : console_.err_is_terminal);
    TerminalEscaper escaper;
    Patience patience(console_, client, false);
    LogSource source{.id = id_, .stream = stream, .offset = 0, .tail_lines = {}, .follow = true};
    absl::Status status = CopyLog(client, source, patience, [&](std::string_view data) {
      return write(escape ? escaper.Escape(data) : data);
    });
    if (escape) write(escaper.Finish());
    if (ErrorReason(status) == "OUTPUT_CLOSED") WantCancel(1, "nobody reads its output");
    return status;
  }

  void RenewLease(Client& client) {
    v1::RenewLeaseRequest request;
    request.add_ids(id_);
    const absl::Duration period = options_.lease_ttl / 3;
    bool renewed = true;
    // While the daemon is away its clock for us stands still or starts anew: be quick once it is
    // back.
    while (client.Pause(renewed ? period : std::min(period, absl::Seconds(1)))) {
      auto answer = client.RenewLease(request);
      renewed = answer.ok();
      if (renewed && answer->not_found_size() > 0) return;  // it has ended
    }
  }

  // --- Ctrl-C ---

  void Interrupted(int count) {
    std::unique_lock lock(mutex_);
    const bool nothing_to_cancel = id_.empty() ? count >= 2 : ended_;
    if (count >= 3 || nothing_to_cancel) {
      gave_up_ = true;
      if (client_ != nullptr) client_->Stop();
      changed_.notify_all();
      return;
    }
    lock.unlock();
    console_.Progress(count == 1 ? "cancelling; Ctrl-C again kills at once"
                                 : "killing; Ctrl-C again stops waiting for it");
    WantCancel(count, "interrupted at the terminal");
  }

  void WantCancel(int level, const std::string& why) {
    std::lock_guard lock(mutex_);
    if (wanted_ == 0) why_ = why;
    wanted_ = std::max(wanted_, level);
    changed_.notify_all();
  }

  void SendCancels(Client& client) {
    Patience patience(console_, client, false);
    for (int sent = 0;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return wanted_ > sent || client.stopped(); });
      if (client.stopped()) return;
      const int level = wanted_;
      const std::string why = why_;
      lock.unlock();
      v1::CancelTasksRequest request;
      request.add_tasks()->set_id(id_);
      request.set_force(level >= 2);
      request.set_reason(why);
      auto answer = client.CancelTasks(request);
      if (answer.ok()) {
        patience.Answered();
        sent = level;
      } else if (!patience.TryAgain(answer.status())) {
        if (!client.stopped()) console_.err(ErrorText(answer.status()));
        return;
      }
    }
  }

  bool gave_up() {
    std::lock_guard lock(mutex_);
    return gave_up_;
  }

  Session& session_;
  const Console& console_;
  const RunOptions options_;
  const std::vector<WantedOutput> wanted_outputs_;

  std::mutex mutex_;  // of all below; id_ does not change once the threads run
  std::condition_variable changed_;
  Client* client_ = nullptr;  // the session's, once it is made
  std::string id_;
  int wanted_ = 0;  // 1: cancel, 2: kill
  std::string why_;
  bool ended_ = false;
  bool gave_up_ = false;
};

}  // namespace

int Run(Session& session, const SubmitFlags& flags, const RunOptions& options) {
  auto submission = BuildSubmission(flags, session.console());
  if (!submission.ok()) return session.Misused(submission.status());
  if (flags.dry_run) return DryRun(session, submission->spec);
  if (flags.detach) {
    absl::Status outputs = CheckDetachedOutputs(flags);
    if (!outputs.ok()) return session.Misused(outputs);
    return SubmitDetached(session, *submission);
  }
  std::vector<WantedOutput> wanted;
  for (const std::string& output : flags.outputs) wanted.push_back(ParseWantedOutput(output));
  return Foreground(session, options, std::move(wanted)).Run(*std::move(submission));
}

}  // namespace boxkeeper::cli
