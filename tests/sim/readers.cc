#include "tests/sim/readers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace boxkeeper::sim {
namespace {

constexpr std::chrono::seconds kHeartbeat{15};
constexpr int kPages = 1'000;

}  // namespace

store::Position PositionOf(const std::string& cursor) {
  store::Position position = -1;
  if (cursor.size() < 2 || !absl::SimpleAtoi(cursor.substr(1), &position)) return -1;
  return position;
}

Readers::Readers(uint64_t seed, const Plan& plan, Life& life, Durable& durable, Trace& trace,
                 Told told)
    : life_(life),
      durable_(durable),
      trace_(trace),
      told_(std::move(told)),
      draws_(Derive(seed, "readers")) {
  for (const char* owner : {"sim", "other"}) {
    Reader& reader = readers_.emplace_back();
    reader.owner = owner;
    const bool slow = plan.Has(Fault::kSlowReader) && draws_.Chance(0.7);
    if (slow) reader.pause = draws_.Wide(10, 60'000);
  }
}

const std::string& Readers::AnyOwner(Draws& draws) const {
  return readers_[static_cast<size_t>(draws.Below(static_cast<int64_t>(readers_.size())))].owner;
}

void Readers::Connect() {
  for (Reader& reader : readers_) {
    v1::WatchEventsRequest request;
    request.set_owner(reader.owner);
    reader.acknowledged = std::max(reader.acknowledged, durable_.AcknowledgedBy(reader.owner));
    reader.position = std::max(reader.position, reader.acknowledged);
    // Now and then it knows only what it acknowledged.
    const bool knows = reader.position > 0 && !draws_.Chance(0.2);
    if (knows) request.set_cursor(absl::StrCat("c", reader.position));
    life_.Spawn(Read(reader, std::move(request), life_.number()));
  }
}

void Readers::Forget() {
  for (Reader& reader : readers_) reader.position = reader.acknowledged = 0;
  gaps_.clear();
}

asio::awaitable<void> Readers::Read(Reader& reader, v1::WatchEventsRequest request, int64_t life) {
  auto opened = life_.core().WatchEvents(request);
  if (!opened.ok()) {
    Fail(absl::StrCat("no stream for ", reader.owner, ": ", opened.status().ToString()));
    co_return;
  }
  std::unique_ptr<daemon::EventReader> stream = *std::move(opened);
  store::Position before = 0;  // in this stream
  while (true) {
    auto batch = co_await stream->Next(7, kHeartbeat);
    if (life_.number() != life || !life_.Act()) co_return;
    if (absl::IsOutOfRange(batch.status())) {
      trace_.Sometimes("cursor gone");
      const std::string cursor = co_await ListAnew(reader);
      if (cursor.empty()) co_return;
      request.set_cursor(cursor);
      auto again = life_.core().WatchEvents(request);
      if (!again.ok()) co_return;
      stream = *std::move(again);
      before = 0;
      continue;
    }
    if (!batch.ok()) co_return;
    for (const v1::Event& event : batch->events()) {
      OnEvent(reader, event, before);
      before = PositionOf(event.cursor());
    }
    if (reader.pause.count() == 0) continue;
    absl::Status slept = co_await life_.clock().SleepUntil(life_.clock().Boot() + reader.pause);
    if (!slept.ok()) co_return;
  }
}

asio::awaitable<std::string> Readers::ListAnew(Reader& reader) {
  v1::ListTasksRequest request;
  request.mutable_filter()->set_owner(reader.owner);
  request.set_page_size(static_cast<int32_t>(draws_.Number(1, 20)));
  std::string cursor;
  for (int page = 0; page < kPages; ++page) {
    auto listed = co_await life_.core().ListTasks(request);
    if (!listed.ok()) co_return "";
    if (cursor.empty()) cursor = listed->snapshot_cursor();
    for (const v1::Task& task : listed->tasks()) told_(task);
    if (listed->next_page_token().empty()) break;
    request.set_page_token(listed->next_page_token());
  }
  // What the list told, no event has to.
  reader.position = std::max(reader.position, PositionOf(cursor));
  co_return cursor;
}

void Readers::OnEvent(Reader& reader, const v1::Event& event, store::Position before) {
  const store::Position position = PositionOf(event.cursor());
  trace_.Say(absl::StrCat("event ", reader.owner, " ", event.cursor(), " ",
                          v1::EventType_Name(event.type()), " ", event.task().id(), " ",
                          v1::TaskState_Name(event.task().state())));
  if (position <= before) return Fail(absl::StrCat(event.cursor(), " out of order"));
  const Durable::Events& events = durable_.EventsOf(reader.owner);
  const auto found = events.find(position);
  // Read before its task was compacted, told after.
  const bool compacted = durable_.IsCompacted(event.task().generation());
  if (found == events.end() && compacted) {
    reader.position = std::max(reader.position, position);
    return told_(event.task());
  }
  if (found == events.end()) {
    return Fail(absl::StrCat(event.cursor(), " of ", reader.owner, " is not durable"));
  }
  const bool same = found->second.type == event.type() &&
                    found->second.generation == event.task().generation() &&
                    found->second.state == event.task().state();
  if (!same) Fail(absl::StrCat(event.cursor(), " tells something else than the store"));
  // Each stream is whole by itself; what was acknowledged is not repeated.
  NoteGap(reader, before == 0 ? reader.position : before, position);
  reader.position = std::max(reader.position, position);
  told_(event.task());
}

void Readers::NoteGap(const Reader& reader, store::Position from, store::Position to) {
  const Durable::Events& events = durable_.EventsOf(reader.owner);
  for (auto it = events.upper_bound(from); it != events.end() && it->first < to; ++it) {
    gaps_.push_back({reader.owner, it->first, it->second.generation, life_.number()});
  }
}

// The events of a compacted task go. The core forgets them before that is durable.
void Readers::CheckGaps() {
  if (gaps_.empty() || !life_.core().AllDurable()) return;
  for (const Gap& gap : gaps_) {
    if (gap.life != life_.number() || durable_.IsCompacted(gap.generation)) continue;
    Fail(absl::StrCat("c", gap.position, " of task ", gap.generation, " was not told to ",
                      gap.owner));
  }
  gaps_.clear();
}

void Readers::Acknowledge(Draws& draws) {
  Reader& reader =
      readers_[static_cast<size_t>(draws.Below(static_cast<int64_t>(readers_.size())))];
  if (reader.position == 0) return;
  v1::AckEventsRequest request;
  request.set_owner(reader.owner);
  request.set_cursor(absl::StrCat("c", reader.position));
  reader.acknowledged = reader.position;
  life_.Call<absl::StatusOr<v1::AckEventsResponse>>(
      life_.core().AckEvents(request),
      [this, &reader, position = reader.position](absl::StatusOr<v1::AckEventsResponse> response) {
        if (!response.ok()) return;
        trace_.Sometimes("acknowledged");
        const int64_t most = std::max<int64_t>(reader.acknowledged, durable_.folded_floor());
        if (durable_.AcknowledgedBy(reader.owner) > most) {
          Fail(absl::StrCat(reader.owner, " is said to have acknowledged more than it did"));
        }
        // A stream that began while the answer was on its way has nothing as old as the cursor.
        const Durable::Events& events = durable_.EventsOf(reader.owner);
        const bool covers = !events.empty() && events.begin()->first <= position;
        if (covers && durable_.AcknowledgedBy(reader.owner) < position) {
          Fail(absl::StrCat("an acknowledgement of ", reader.owner, " is not durable"));
        }
      });
}

bool Readers::CaughtUp() const {
  for (const Reader& reader : readers_) {
    const Durable::Events& events = durable_.EventsOf(reader.owner);
    if (!events.empty() && events.rbegin()->first > reader.position) return false;
  }
  return true;
}

void Readers::CheckEnd() {
  for (const Reader& reader : readers_) {
    const Durable::Events& events = durable_.EventsOf(reader.owner);
    if (events.empty() || events.rbegin()->first <= reader.position) continue;
    Fail(absl::StrCat(reader.owner, " was not told c", events.rbegin()->first, ", only up to c",
                      reader.position));
  }
}

}  // namespace boxkeeper::sim
