#include "logs/output_puller.h"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/backoff.h"
#include "base/fault_points.h"
#include "base/run_on.h"
#include "base/slots.h"
#include "base/task_group.h"
#include "base/wait_list.h"

namespace boxkeeper::logs {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

constexpr std::array kStreams{Stream::kStdout, Stream::kStderr};
// What one visit may fetch before others have theirs.
constexpr uint64_t kVisitBytes = 8 * 1024 * 1024;
constexpr int kGrowthPercent = 150;  // of the poll interval of a quiet stream, each time
// However many there are, a stream is looked at so often.
constexpr milliseconds kPollLongest{60'000};
constexpr base::BackoffOptions kRetry{.initial = milliseconds(250), .max = milliseconds(5'000)};
// In a row, before it is believed that a sandbox is gone, or that its stream is shorter than
// attested.
constexpr int kBelieveAfter = 2;
constexpr size_t kDrainsWaitingMax = 1'000'000;

// One task's output as far as it is here.
struct Pulled {
  Pulled(base::FileSystem& files, base::Clock& clock, PullJob job_in)
      : job(std::move(job_in)), spool(files, job.spool, job.limit), written(clock) {}

  struct Pace {
    base::BootTime due;
    milliseconds interval{0};
    int failures = 0;  // in a row
    bool over = false;
  };
  Pace& pace(Stream stream) { return paces[static_cast<size_t>(stream)]; }

  PullJob job;
  PulledSpool spool;  // used on the pool, under `writing`
  std::array<Pace, 2> paces;
  uint64_t turn = 0;  // rises with each takeover: an older reader stops
  bool writing = false;
  base::WaitList written;
  bool visiting = false;
  bool look_again = false;
  std::optional<base::BootTime> listed;  // in the timetable
  uint64_t number = 0;
};

// How one stream is drained.
struct Drained {
  bool complete = false;
  std::string why;
};

}  // namespace

class OutputPuller::Impl final : public std::enable_shared_from_this<Impl> {
 public:
  Impl(Deps deps, PullerOptions options)
      : deps_(std::move(deps)),
        options_(options),
        alarm_(deps_.clock.NewAlarm(deps_.loop)),
        drains_(deps_.clock, static_cast<size_t>(options.drains), kDrainsWaitingMax),
        group_(deps_.clock, deps_.loop) {}

  void Pull(PullJob job) {
    if (!job.live || tasks_.contains(job.task)) return;
    const std::shared_ptr<Pulled> task = Make(std::move(job));
    List(task, deps_.clock.Boot());
  }

  void Hurry(const base::TaskId& id) {
    const auto found = tasks_.find(id);
    if (found == tasks_.end()) return;
    for (Pulled::Pace& pace : found->second->paces) {
      if (pace.failures > 0) continue;
      pace.interval = options_.poll_min;
      pace.due = deps_.clock.Boot();
    }
    found->second->look_again = true;
    if (!found->second->visiting) List(found->second, deps_.clock.Boot());
  }

  void Follow(const base::TaskId& id, int change) {
    int& followers = followers_[id];
    followers += change;
    if (followers <= 0) followers_.erase(id);
    if (change > 0) Hurry(id);
  }

  void Forget(const base::TaskId& id) {
    const auto found = tasks_.find(id);
    if (found != tasks_.end()) Remove(found->second);
  }

  asio::awaitable<PulledOutput> Drain(PullJob job, PullEnd end) {
    const auto found = tasks_.find(job.task);
    std::shared_ptr<Pulled> task;
    if (found != tasks_.end()) {
      task = found->second;
      Remove(task);
    } else {
      task = std::make_shared<Pulled>(deps_.files, deps_.clock, std::move(job));
    }
    const uint64_t turn = task->turn;
    absl::Status woken;
    while (task->writing && woken.ok()) woken = co_await task->written.Wait(base::BootTime::max());
    auto slot = co_await drains_.Acquire(base::BootTime::max());
    PulledOutput output;
    if (!slot.ok()) {
      output.why = std::string(slot.status().message());
      co_return output;
    }
    output.complete = true;
    for (const Stream stream : kStreams) {
      const auto size = stream == Stream::kStdout ? end.stdout_bytes : end.stderr_bytes;
      Drained drained = co_await DrainStream(task, turn, stream, size, end.gone);
      if (drained.complete) continue;
      output.complete = false;
      if (output.why.empty()) {
        output.why = absl::StrCat(std::string(StreamName(stream)), ": ", drained.why);
      }
    }
    const absl::Status synced = co_await SyncDrained(task);
    if (!synced.ok()) {
      output.complete = false;
      output.why = std::string(synced.message());
    }
    base::Failpoint("drain.after_sync");
    output.stdout_bytes = task->spool.length(Stream::kStdout);
    output.stderr_bytes = task->spool.length(Stream::kStderr);
    output.dropped_bytes = task->spool.dropped_bytes();
    co_return output;
  }

  PullerStatus status() const {
    PullerStatus status = status_;
    status.pulled = tasks_.size();
    return status;
  }

  void SetOptions(PullerOptions options) {
    options_ = options;
    drains_.SetLimit(static_cast<size_t>(options.drains));
  }

  asio::awaitable<absl::Status> Stop(base::BootTime deadline) {
    stopping_ = true;
    alarm_->Cancel();
    group_.Cancel();
    co_return co_await group_.Join(deadline);
  }

 private:
  std::shared_ptr<Pulled> Make(PullJob job) {
    const base::TaskId id = job.task;
    auto task = std::make_shared<Pulled>(deps_.files, deps_.clock, std::move(job));
    task->number = ++numbers_;
    for (Pulled::Pace& pace : task->paces) {
      pace.due = deps_.clock.Boot();
      pace.interval = options_.poll_min;
    }
    tasks_.emplace(id, task);
    return task;
  }

  void List(const std::shared_ptr<Pulled>& task, base::BootTime due) {
    Unlist(*task);
    task->listed = due;
    timetable_.emplace(due, task->number, task);
    Pump();
  }

  void Unlist(Pulled& task) {
    if (!task.listed.has_value()) return;
    timetable_.erase(timetable_.lower_bound({*task.listed, task.number, nullptr}));
    task.listed.reset();
  }

  void Remove(std::shared_ptr<Pulled> task) {
    Unlist(*task);
    ++task->turn;
    for (Pulled::Pace& pace : task->paces) NoteFailures(pace, 0);
    tasks_.erase(task->job.task);
  }

  void Pump() {
    if (stopping_) return;
    const base::BootTime now = deps_.clock.Boot();
    while (visits_ < options_.concurrency && !timetable_.empty()) {
      const auto& [due, number, first] = *timetable_.begin();
      if (due > now) break;
      std::shared_ptr<Pulled> task = first;
      Unlist(*task);
      task->visiting = true;
      ++visits_;
      group_.Spawn(task->job.task.ToString(), [this, task] { return Visit(task); });
    }
    if (visits_ >= options_.concurrency || timetable_.empty()) return alarm_->Cancel();
    alarm_->Set(std::get<0>(*timetable_.begin()), [weak = weak_from_this()] {
      if (auto alive = weak.lock()) alive->Pump();
    });
  }

  // Reads what is due of one task, and says when to come again.
  asio::awaitable<void> Visit(std::shared_ptr<Pulled> task) {
    const uint64_t turn = task->turn;
    task->look_again = false;
    for (const Stream stream : kStreams) {
      const Pulled::Pace& pace = task->pace(stream);
      if (pace.over || pace.due > deps_.clock.Boot()) continue;
      co_await PullStream(task, turn, stream);
      if (task->turn != turn) break;
    }
    --visits_;
    task->visiting = false;
    if (task->turn == turn && !stopping_) {
      base::BootTime due = base::BootTime::max();
      for (const Pulled::Pace& pace : task->paces) {
        if (!pace.over) due = std::min(due, pace.due);
      }
      if (task->look_again) due = deps_.clock.Boot();
      if (due != base::BootTime::max()) List(task, due);
    }
    Pump();
  }

  asio::awaitable<void> PullStream(std::shared_ptr<Pulled> task, uint64_t turn, Stream stream) {
    uint64_t fetched = 0;
    for (;;) {
      Pulled::Pace& pace = task->pace(stream);
      if (task->spool.full()) {
        pace.due = deps_.clock.Boot() + options_.poll_max;
        co_return;
      }
      const base::BootTime deadline = deps_.clock.Boot() + options_.call_timeout;
      const size_t wanted = task->spool.step(options_.read_bytes);
      auto chunk = co_await Read(task, turn, stream, wanted, deadline);
      if (task->turn != turn) co_return;
      if (!chunk.ok()) {
        NoteFailures(pace, pace.failures + 1);
        status_.last_error = std::string(chunk.status().message());
        pace.due = deps_.clock.Boot() + base::BackoffFor(kRetry, pace.failures - 1, deps_.rng);
        co_return;
      }
      NoteFailures(pace, 0);
      fetched += chunk->data.size();
      pace.over = chunk->end;
      if (pace.over) co_return;
      if (chunk->data.size() >= wanted && fetched < kVisitBytes) continue;
      if (fetched > 0) {
        pace.interval = options_.poll_min;
      } else {
        pace.interval = std::min(pace.interval * kGrowthPercent / 100, Longest(task->job.task));
      }
      pace.due = deps_.clock.Boot() + (fetched < kVisitBytes ? pace.interval : milliseconds(0));
      co_return;
    }
  }

  milliseconds Longest(const base::TaskId& id) const {
    if (followers_.contains(id)) return options_.poll_followed;
    const auto streams = static_cast<int64_t>(tasks_.size() * kStreams.size());
    const milliseconds shared(streams * 1'000 / std::max(1, options_.calls_per_second));
    return std::max(options_.poll_max, std::min(shared, kPollLongest));
  }

  // What comes next of the stream, spooled. Its answer counts only while the turn lasts.
  asio::awaitable<absl::StatusOr<PulledChunk>> Read(std::shared_ptr<Pulled> task, uint64_t turn,
                                                    Stream stream, size_t wanted,
                                                    base::BootTime deadline) {
    if (!task->spool.loaded()) {
      auto load = [task] { return task->spool.Load(); };
      const absl::Status loaded = co_await RunOn(task, load);
      if (!loaded.ok()) co_return loaded;
      if (task->turn != turn) co_return absl::AbortedError("taken over");
    }
    const uint64_t offset = task->spool.length(stream);
    ++status_.calls;
    absl::StatusOr<PulledChunk> chunk = co_await task->job.read(stream, offset, wanted, deadline);
    if (!chunk.ok() || task->turn != turn) co_return chunk;
    if (chunk->data.size() > wanted) {
      co_return absl::InternalError("more output than was asked for");
    }
    if (chunk->data.empty()) co_return chunk;
    const int64_t now_ms = absl::ToUnixMillis(deps_.clock.Now());
    auto append = [task, stream, data = &chunk->data, now_ms] {
      return task->spool.Append(stream, *data, now_ms);
    };
    const absl::Status appended = co_await RunOn(task, append);
    if (!appended.ok()) co_return appended;
    status_.bytes += chunk->data.size();
    if (deps_.on_growth) deps_.on_growth(task->job.task);
    co_return chunk;
  }

  // Nobody else touches the spool meanwhile.
  template <typename Work>
  asio::awaitable<absl::Status> RunOn(std::shared_ptr<Pulled> task, Work work) {
    task->writing = true;
    absl::Status status = co_await base::RunOn(deps_.pool, std::move(work));
    task->writing = false;
    task->written.NotifyAll();
    co_return status;
  }

  asio::awaitable<Drained> DrainStream(std::shared_ptr<Pulled> task, uint64_t turn, Stream stream,
                                       std::optional<uint64_t> size, bool gone) {
    base::BootTime deadline = deps_.clock.Boot() + options_.final_drain;
    base::Backoff backoff({.initial = options_.poll_min, .max = kRetry.max}, deps_.rng);
    Drained drained;
    int not_found = 0;
    int too_short = 0;
    bool over = false;
    if (!task->spool.loaded()) {
      auto load = [task] { return task->spool.Load(); };
      const absl::Status loaded = co_await RunOn(task, load);
      drained.why = std::string(loaded.message());
      if (!loaded.ok()) co_return drained;
    }
    while (true) {
      const uint64_t length = task->spool.length(stream);
      drained.complete = size.has_value() ? length >= *size : over;
      if (drained.complete) co_return drained;
      if (gone) drained.why = "the sandbox is gone";
      if (gone || deps_.clock.Boot() >= deadline) co_return drained;
      if (task->spool.full() && size.has_value()) {
        auto give_up = [task, stream, size] { return task->spool.GiveUp(stream, *size); };
        const absl::Status given_up = co_await RunOn(task, give_up);
        drained.why = std::string(given_up.message());
        if (given_up.ok()) continue;
      } else {
        const base::BootTime call_end =
            std::min(deadline, deps_.clock.Boot() + options_.call_timeout);
        size_t wanted = task->spool.step(options_.read_bytes);
        if (size.has_value()) wanted = std::min<uint64_t>(wanted, *size - length);
        auto chunk = co_await Read(task, turn, stream, wanted, call_end);
        drained.why = absl::StrCat("fetched up to ", task->spool.length(stream));
        if (!chunk.ok()) absl::StrAppend(&drained.why, ": ", std::string(chunk.status().message()));
        not_found = absl::IsNotFound(chunk.status()) ? not_found + 1 : 0;
        gone = not_found >= kBelieveAfter;
        over = chunk.ok() && chunk->end;
        const bool progress = chunk.ok() && !chunk->data.empty();
        // What is attested is not given up while it flows.
        if (progress && size.has_value()) deadline = deps_.clock.Boot() + options_.final_drain;
        too_short = over && !progress ? too_short + 1 : 0;
        if (size.has_value() && too_short >= kBelieveAfter) co_return drained;
        if (absl::IsUnimplemented(chunk.status())) co_return drained;
        if (progress) backoff.Reset();
        if (progress || over || gone) continue;
      }
      const base::BootTime next = std::min(deadline, deps_.clock.Boot() + backoff.Next());
      const absl::Status slept = co_await deps_.clock.SleepUntil(next);
      if (!slept.ok()) co_return drained;
    }
  }

  // What is not durable is not there yet: tried again for as long as bytes would be waited for.
  asio::awaitable<absl::Status> SyncDrained(std::shared_ptr<Pulled> task) {
    const base::BootTime deadline = deps_.clock.Boot() + options_.final_drain;
    base::Backoff backoff({.initial = options_.poll_min, .max = kRetry.max}, deps_.rng);
    auto sync = [task] { return task->spool.Sync(); };
    while (true) {
      const absl::Status synced = co_await RunOn(task, sync);
      if (synced.ok() || deps_.clock.Boot() >= deadline) co_return synced;
      const base::BootTime next = std::min(deadline, deps_.clock.Boot() + backoff.Next());
      const absl::Status slept = co_await deps_.clock.SleepUntil(next);
      if (!slept.ok()) co_return synced;
    }
  }

  void NoteFailures(Pulled::Pace& pace, int failures) {
    if (pace.failures == 0 && failures > 0) ++status_.failing;
    if (pace.failures > 0 && failures == 0) --status_.failing;
    pace.failures = failures;
    if (status_.failing == 0) status_.last_error.clear();
  }

  const Deps deps_;
  PullerOptions options_;
  std::unique_ptr<base::Alarm> alarm_;
  absl::flat_hash_map<base::TaskId, std::shared_ptr<Pulled>> tasks_;
  absl::flat_hash_map<base::TaskId, int> followers_;
  std::set<std::tuple<base::BootTime, uint64_t, std::shared_ptr<Pulled>>> timetable_;
  uint64_t numbers_ = 0;
  int visits_ = 0;
  bool stopping_ = false;
  PullerStatus status_;
  base::Slots drains_;
  base::TaskGroup group_;  // last: its coroutines use the rest
};

OutputPuller::OutputPuller(Deps deps, PullerOptions options)
    : impl_(std::make_shared<Impl>(std::move(deps), options)) {}
OutputPuller::~OutputPuller() = default;

void OutputPuller::Pull(PullJob job) { impl_->Pull(std::move(job)); }

asio::awaitable<PulledOutput> OutputPuller::Drain(PullJob job, PullEnd end) {
  return impl_->Drain(std::move(job), end);
}

void OutputPuller::Hurry(const base::TaskId& task) { impl_->Hurry(task); }
void OutputPuller::Follow(const base::TaskId& task, int change) { impl_->Follow(task, change); }
void OutputPuller::Forget(const base::TaskId& task) { impl_->Forget(task); }
PullerStatus OutputPuller::status() const { return impl_->status(); }
void OutputPuller::SetOptions(PullerOptions options) { impl_->SetOptions(options); }

asio::awaitable<absl::Status> OutputPuller::Stop(base::BootTime deadline) {
  return impl_->Stop(deadline);
}

}  // namespace boxkeeper::logs
