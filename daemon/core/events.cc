// Event streams: reading from a cursor, acknowledgement, adoption.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "daemon/api/api_error.h"
#include "daemon/core/engine.h"

namespace boxkeeper::daemon {
namespace {

absl::Status Stopping() {
  return ApiError(absl::StatusCode::kUnavailable, "NOT_SERVING",
                  "the daemon is stopping; resume from the last cursor");
}

// Reads the table itself: nothing is buffered for a subscriber.
class TableReader : public EventReader {
 public:
  TableReader(Engine* engine, std::string owner, bool all, Position after)
      : engine_(engine),
        alive_(engine->alive_),
        owner_(std::move(owner)),
        all_(all),
        after_(after) {
    if (!all_) ++engine_->readers_[owner_];
  }

  ~TableReader() override {
    if (all_ || alive_.expired()) return;
    auto it = engine_->readers_.find(owner_);
    if (--it->second == 0) engine_->readers_.erase(it);
  }

  asio::awaitable<absl::StatusOr<v1::WatchEventsResponse>> Next(
      size_t max, std::chrono::milliseconds heartbeat) override {
    const base::BootTime deadline = engine_->deps_.clock.Boot() + heartbeat;
    v1::WatchEventsResponse response;
    while (true) {
      if (engine_->stopping_) co_return Stopping();
      if (!all_ && !FollowFloor()) co_return Gone();
      const std::vector<std::pair<Position, EventEntry>> entries = Collect(max);
      for (const auto& [position, entry] : entries) {
        absl::StatusOr<v1::Task> task = co_await engine_->View(entry.generation, &entry);
        // Any other failure must not look like a gap: the client comes again.
        if (!task.ok() && !absl::IsNotFound(task.status())) co_return task.status();
        after_ = position;
        if (!task.ok()) continue;  // compacted meanwhile; the floor tells the client
        v1::Event& event = *response.add_events();
        event.set_cursor(CursorText(position));
        event.set_type(entry.type);
        *event.mutable_time() = ToTimestamp(entry.at_ms);
        *event.mutable_task() = *std::move(task);
      }
      if (!response.events().empty()) co_return response;
      if (!entries.empty()) continue;
      absl::Status waited = co_await engine_->events_changed_->Wait(deadline);
      if (absl::IsDeadlineExceeded(waited)) co_return response;
      if (!waited.ok()) co_return waited;
    }
  }

  bool AtEnd() const override { return Collect(1).empty(); }

 private:
  // Of a stream that is not there, folded floors tell: it may be one of them.
  Position Floor() const {
    const OwnerStream* stream = engine_->table_.FindStream(owner_);
    return stream == nullptr ? engine_->table_.folded_floor() : stream->floor;
  }

  // False if events after `after_` are gone. A stream that was not there had nothing to lose
  // before it began; it is not folded while it is read.
  bool FollowFloor() {
    const OwnerStream* stream = engine_->table_.FindStream(owner_);
    if (absent_) after_ = std::max(after_, stream == nullptr ? Floor() : stream->first_floor);
    if (Floor() > after_) return false;
    absent_ = stream == nullptr;
    return true;
  }

  absl::Status Gone() const {
    ApiErrorDetails details;
    details.metadata = {{"oldest_kept_after", CursorText(Floor())}};
    return ApiError(absl::StatusCode::kOutOfRange, "CURSOR_GONE",
                    "events after this cursor were compacted; list the tasks and resume from the "
                    "list's snapshot_cursor",
                    details);
  }

  // Only what is durable.
  std::vector<std::pair<Position, EventEntry>> Collect(size_t max) const {
    std::vector<std::pair<Position, EventEntry>> out;
    const auto& events = engine_->table_.events();
    const Position synced = base::Mutated("event_before_sync") ? engine_->journal_.next_position()
                                                               : engine_->journal_.synced();
    if (all_) {
      for (auto it = events.upper_bound(after_); it != events.end() && it->first <= synced; ++it) {
        if (out.size() == max) break;
        out.push_back(*it);
      }
      return out;
    }
    const OwnerStream* stream = engine_->table_.FindStream(owner_);
    if (stream == nullptr) return out;
    for (auto it = stream->events.upper_bound(after_); it != stream->events.end() && *it <= synced;
         ++it) {
      if (out.size() == max) break;
      out.push_back(*events.find(*it));
    }
    return out;
  }

  Engine* engine_;
  std::weak_ptr<const bool> alive_;
  bool absent_ = false;  // there was no stream when it was looked at last
  std::string owner_;
  bool all_;
  Position after_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<EventReader>> Engine::WatchEvents(v1::WatchEventsRequest request) {
  if (stopping_) return Stopping();
  const bool all = request.owner().empty();
  Position after = 0;
  if (!request.cursor().empty()) {
    absl::StatusOr<Position> parsed = ParseCursor(request.cursor());
    if (!parsed.ok() || *parsed >= journal_.next_position()) {
      ApiErrorDetails details;
      details.violations = {{"cursor", "must be a cursor that this daemon gave, or empty"}};
      return ApiError(absl::StatusCode::kInvalidArgument, "INVALID_CURSOR", "bad cursor", details);
    }
    after = *parsed + (base::Mutated("cursor_off_by_one") ? 1 : 0);
  } else if (!all) {
    const OwnerStream* stream = table_.FindStream(request.owner());
    after = stream == nullptr ? table_.folded_floor() : stream->acknowledged;
  }
  return std::make_unique<TableReader>(this, request.owner(), all, after);
}

// One wake-up per batch, after it is synced, for whoever waits for something in it.
void Engine::NotifyChanged(Generation generation) {
  if (changed_ == nullptr || changed_batch_ != journal_.open_batch()) {
    changed_batch_ = journal_.open_batch();
    changed_ = std::make_shared<std::vector<Generation>>();
    journal_.WhenSynced([this, changed = changed_] {
      events_changed_->NotifyAll();
      for (const Generation one : *changed) {
        auto it = waiters_.find(one);
        if (it == waiters_.end()) continue;
        for (const std::weak_ptr<base::WaitList>& waiter : it->second) {
          if (auto waiting = waiter.lock()) waiting->NotifyAll();
        }
      }
    });
  }
  changed_->push_back(generation);
}

asio::awaitable<absl::StatusOr<v1::AckEventsResponse>> Engine::AckEvents(
    v1::AckEventsRequest request) {
  absl::StatusOr<Position> position = ParseCursor(request.cursor());
  if (!position.ok() || *position > journal_.synced()) {
    ApiErrorDetails details;
    details.violations = {{"cursor", "must be a cursor of a delivered event"}};
    co_return ApiError(absl::StatusCode::kInvalidArgument, "INVALID_CURSOR", "bad cursor", details);
  }
  OwnerStream* stream = table_.FindStream(request.owner());
  // An owner without a stream has nothing to acknowledge; a lower cursor is already covered.
  if (stream != nullptr && *position > stream->acknowledged) {
    if (stream->ack_record != 0) journal_.Delete(stream->ack_record);
    rec::Record record;
    record.mutable_ack()->set_owner(request.owner());
    record.mutable_ack()->set_position(*position + (base::Mutated("ack_one_too_many") ? 1 : 0));
    Write(record);
    base::Failpoint("ack.recorded");
  }
  if (!base::Mutated("ack_answered_early")) co_await Durable();
  co_return v1::AckEventsResponse();
}

asio::awaitable<absl::StatusOr<v1::AdoptTasksResponse>> Engine::AdoptTasks(
    v1::AdoptTasksRequest request) {
  v1::AdoptTasksResponse response;
  std::vector<Generation> found;
  // All of it in one batch of the journal: nothing is awaited in between.
  for (const v1::TaskRef& ref : request.tasks()) {
    TaskRow* row = Resolve(ref);
    v1::AdoptResult& result = *response.add_results();
    found.push_back(row == nullptr ? 0 : row->generation);
    if (row == nullptr) {
      result.set_outcome(v1::AdoptResult::UNKNOWN);
      continue;
    }
    result.set_outcome(IsTerminal(row->state()) ? v1::AdoptResult::TERMINAL
                                                : v1::AdoptResult::LIVE);
    const std::string old_owner = row->owner->name;
    if (old_owner == request.new_owner()) continue;
    BeginStream(request.new_owner());
    rec::Record record;
    rec::OwnerChange& change = *record.mutable_owner_change();
    change.set_generation(row->generation);
    change.set_old_owner(old_owner);
    change.set_new_owner(request.new_owner());
    change.set_at_ms(NowMs());
    Write(record);  // tells the new owner
    const bool tells = !old_owner.empty() && !base::Mutated("old_owner_not_told");
    if (tells) Write(record);  // tells the old one
    base::Failpoint("adopt.recorded");
    NotifyChanged(row->generation);
  }
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i] == 0) continue;
    absl::StatusOr<v1::Task> view = co_await View(found[i], nullptr);
    if (view.ok())
      *response.mutable_results(static_cast<int>(i))->mutable_task() = *std::move(view);
  }
  co_await Durable();
  co_return response;
}

}  // namespace boxkeeper::daemon
