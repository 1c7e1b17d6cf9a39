// The output of sandboxes whose provider writes no spool: fetched while they run, and all of it
// before their end is told.
#include <utility>

#include "base/fault_points.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {
namespace {

// How soon it is noticed that a provider can be reached again.
constexpr std::chrono::milliseconds kReachCheck{1'000};

}  // namespace

bool Engine::IsPulled(const TaskRow& row) {
  if (log_port_ == nullptr) return false;
  const auto found = providers_.find(row.provider);
  const SandboxRow* sandbox = table_.SandboxOf(row);
  if (found == providers_.end() || sandbox == nullptr || sandbox->record.handle().empty()) {
    return false;
  }
  return !found->second.provider->capabilities().spool_is_native();
}

// User code of a task begins in one sandbox at the most, so its id names the execution, and the
// journalled handle the only sandbox that is read.
OutputSource Engine::SourceOf(const TaskRow& row) {
  std::shared_ptr<providers::Provider> provider = FindProvider(row.provider)->provider;
  OutputSource source;
  source.live = provider->capabilities().live_output();
  source.read = [provider = std::move(provider), handle = table_.SandboxOf(row)->record.handle(),
                 exec_id = row.id.ToString()](std::string stream, int64_t offset, int64_t max_bytes,
                                              base::BootTime deadline) {
    return provider->ReadOutput(handle, exec_id, std::move(stream), offset, max_bytes, deadline);
  };
  return source;
}

void Engine::PullOutput(const TaskRow& row) {
  if (IsPulled(row) && !draining_.contains(row.generation)) log_port_->Pull(row.id, SourceOf(row));
}

bool Engine::DrainFirst(const TaskRow& row, const pb::SandboxView& view, bool gone) {
  const pb::ExitRecord& exit = view.exit();
  if (!IsPulled(row) || exit.start_failed()) return false;
  if (base::Mutated("end_before_output")) return false;
  const auto [it, first] = draining_.try_emplace(row.generation, view);
  if (!first) {
    // An attested end says more than that it is gone.
    if (it->second.exit().lost() && !exit.lost()) it->second = view;
    return true;
  }
  OutputEnd end;
  end.gone = gone;
  if (!exit.lost() && !exit.host_rebooted()) {
    end.stdout_bytes = exit.stdout_bytes();
    end.stderr_bytes = exit.stderr_bytes();
  }
  const Generation generation = row.generation;
  Spawn("drain", [this, generation, source = SourceOf(row), end] {
    return RunDrain(generation, source, end);
  });
  return true;
}

bool Engine::WaitsForOutput(Generation generation) {
  const TaskRow* row = table_.Find(generation);
  return row != nullptr && MayRun(row->state()) && !stopping_;
}

asio::awaitable<void> Engine::RunDrain(Generation generation, OutputSource source, OutputEnd end) {
  const TaskRow* before = table_.Find(generation);
  if (before == nullptr) {
    draining_.erase(generation);
    co_return;
  }
  const base::TaskId id = before->id;
  const bool gone = end.gone;
  const ProviderState* provider = FindProvider(before->provider);
  DrainedOutput output;
  while (true) {
    base::Failpoint("drain.before");
    output = co_await log_port_->Drain(id, source, end);
    base::Failpoint("drain.after");
    // That a provider cannot be reached is no end of what it holds.
    if (output.incomplete.empty() || gone || !provider->unreachable_since.has_value()) break;
    while (provider->unreachable_since.has_value() && WaitsForOutput(generation)) {
      absl::Status slept = co_await deps_.clock.SleepUntil(deps_.clock.Boot() + kReachCheck);
      if (!slept.ok()) co_return;
    }
    if (!WaitsForOutput(generation)) break;
  }
  auto waiting = draining_.extract(generation);
  TaskRow* row = table_.Find(generation);
  // Handed over: the next start sees the same end, and finds this output in the spool.
  if (!WaitsForOutput(generation)) co_return;
  pb::SandboxView view = std::move(waiting.mapped());
  pb::ExitRecord& exit = *view.mutable_exit();
  exit.set_stdout_bytes(output.stdout_bytes);
  exit.set_stderr_bytes(output.stderr_bytes);
  exit.set_dropped_bytes(output.dropped_bytes);
  if (!output.incomplete.empty()) {
    Amend(*row, v1::EVENT_TYPE_UNSPECIFIED,
          [&output](rec::TaskStatus& status) { status.set_log_incomplete(output.incomplete); });
  }
  Finish(*row, view);
  if (!gone) co_return;
  if (SandboxRow* left = table_.SandboxOf(*row)) ForgetSandbox(*left);
}

}  // namespace boxkeeper::daemon
