// Records of the store as a start reads them. First byte even: the rest is records, each a length
// of two bytes and the message's bytes. Odd: a script of well-formed records about few tasks, so
// that they meet. Whatever applies leaves a consistent memory, which a second replay repeats (I9);
// whatever does not is an error.
#include <string>
#include <vector>

#include "boxkeeper/store/v1/records.pb.h"
#include "daemon/core/states.h"
#include "daemon/core/task_table.h"
#include "tests/fuzz/property.h"

namespace boxkeeper::fuzz {
namespace {

using daemon::TaskRow;
using daemon::TaskTable;
using store::v1::Record;

constexpr int kSteps = 200;

// A replay: stops at the first record that does not apply, as a start does.
struct Replay {
  TaskTable table;
  store::Position position = 0;
  std::vector<Record> applied;
  bool stopped = false;

  void Apply(const Record& record) {
    if (stopped) return;
    const absl::Status status = table.Apply(++position, record);
    stopped = !status.ok();
    Require(status.ok() || absl::IsDataLoss(status), "what does not apply is damage",
            status.ToString());
    if (!stopped) applied.push_back(record);
  }
};

std::string Id(uint8_t number) { return std::string(15, '\1') + static_cast<char>(number % 8); }

Record AcceptedRecord(Input& input, int64_t generation) {
  Record record;
  store::v1::Accepted& accepted = *record.mutable_accepted();
  accepted.set_generation(generation);
  accepted.set_id(Id(input.Byte()));
  accepted.set_submission_id(Id(input.Byte()));
  accepted.mutable_key()->set_name(std::string(1, static_cast<char>('a' + input.Byte() % 3)));
  accepted.set_owner(std::string(input.Byte() % 3, 'o'));
  accepted.mutable_spec()->mutable_log()->set_path(std::string(input.Byte() % 3, 'p'));
  accepted.set_after_generation(input.Byte() % 8);
  return record;
}

Record TransitionRecord(Input& input) {
  Record record;
  store::v1::Transition& transition = *record.mutable_transition();
  transition.set_generation(input.Byte() % 16);
  transition.mutable_status()->set_state(static_cast<v1::TaskState>(input.Byte() % 12));
  transition.mutable_status()->set_fenced(input.Byte() % 2 == 1);
  transition.mutable_status()->set_sandbox_id(Id(input.Byte()));
  transition.set_event(static_cast<v1::EventType>(input.Byte() % 6));
  return record;
}

Record LogRecord(Input& input) {
  Record record;
  store::v1::LogRecord& log = *record.mutable_log();
  log.set_generation(input.Byte() % 16);
  log.set_stream(input.Byte() % 2 == 1 ? "stdout" : "stderr");
  log.set_from(input.Byte());
  log.set_to(input.Byte());
  log.set_complete(input.Byte() % 8 == 7);
  log.set_dropped(input.Byte() % 4 == 3);
  return record;
}

Record OtherRecord(Input& input) {
  Record record;
  switch (input.Byte() % 7) {
    case 0: {
      auto& sandbox = *record.mutable_sandbox();
      sandbox.set_id(Id(input.Byte()));
      sandbox.set_state(static_cast<store::v1::SandboxRecord::State>(input.Byte() % 7));
      break;
    }
    case 1: {
      auto& change = *record.mutable_owner_change();
      change.set_generation(input.Byte() % 16);
      change.set_old_owner(std::string(input.Byte() % 3, 'o'));
      change.set_new_owner(std::string(input.Byte() % 3, 'o'));
      break;
    }
    case 2:
      record.mutable_ack()->set_owner(std::string(input.Byte() % 3, 'o'));
      record.mutable_ack()->set_position(input.Byte());
      break;
    case 3:
      record.mutable_tombstone()->set_generation(input.Byte());
      record.mutable_tombstone()->set_submission_id(Id(input.Byte()));
      break;
    case 4:
      record.mutable_meta()->set_generation_floor(input.Byte());
      (*record.mutable_meta()->mutable_cursor_floor())["o"] = input.Byte();
      record.mutable_meta()->set_folded_cursor_floor(input.Byte());
      break;
    case 5:
      record.mutable_sealed()->set_generation(input.Byte() % 16);
      break;
    default:
      record.mutable_note()->set_generation(input.Byte() % 16);
      break;
  }
  return record;
}

// What housekeeping does between records. It is no record, so a replay is not compared after it.
void KeepHouse(TaskTable& table, uint8_t which) {
  if (which % 3 == 0) {
    const std::vector<std::string> owners = {"", "o", "oo"};
    for (const std::string& owner : owners) table.FoldStream(owner);
  } else if (which % 3 == 1 && !table.tombstones().empty()) {
    table.RemoveTombstone(table.tombstones().begin()->first);
  } else {
    for (const auto& [generation, row] : table.tasks()) {
      if (!daemon::IsFenced(*row)) continue;
      table.Remove(*table.Find(generation));
      return;
    }
  }
}

void CheckTable(TaskTable& table) {
  int64_t counted = 0;
  for (int state = 0; state < v1::TaskState_ARRAYSIZE; ++state) {
    Require(table.count(static_cast<v1::TaskState>(state)) >= 0, "no count is negative");
    counted += table.count(static_cast<v1::TaskState>(state));
  }
  Require(counted == static_cast<int64_t>(table.tasks().size()), "each task counts once");
  int64_t owned = 0, unacknowledged = 0;
  for (const auto& [owner, stream] : table.streams()) {
    owned += stream->tasks;
    Require(stream->tasks >= 0 && stream->unacknowledged >= 0, "no count of a stream is negative");
    if (!owner.empty()) unacknowledged += stream->unacknowledged;
  }
  Require(owned == static_cast<int64_t>(table.tasks().size()), "each task has one owner");
  Require(unacknowledged == table.unacknowledged_events(), "unacknowledged events are counted");
  for (const auto& [position, event] : table.events()) {
    Require(table.Find(event.generation) != nullptr, "an event belongs to a task");
    Require(event.stream->events.contains(position), "an event stands in its stream");
  }
  for (const auto& [generation, row] : table.tasks()) {
    Require(generation < table.next_generation(), "generations are never reused");
    Require(table.FindKey(*row->key) != nullptr, "a task is found by its key");
    (void)table.SandboxOf(*row);
    (void)table.LastEventOf(*row);
  }
}

void CheckReplay(const Replay& first) {
  Replay second;
  for (const Record& record : first.applied) second.Apply(record);
  Require(second.table.Fingerprint() == first.table.Fingerprint(),
          "a replay gives the same memory");
}

void RunRaw(Input& input) {
  Replay replay;
  for (int step = 0; step < kSteps && !input.empty() && !replay.stopped; ++step) {
    Record record;
    if (!record.ParseFromString(input.LongText())) return;
    replay.Apply(record);
  }
  CheckTable(replay.table);
  CheckReplay(replay);
}

void RunScript(Input& input) {
  Replay replay;
  for (int step = 0; step < kSteps && !input.empty() && !replay.stopped; ++step) {
    switch (input.Byte() % 6) {
      case 0:
      case 1:
        replay.Apply(AcceptedRecord(input, replay.table.next_generation()));
        break;
      case 2:
      case 3:
        replay.Apply(TransitionRecord(input));
        break;
      case 4:
        replay.Apply(LogRecord(input));
        break;
      default:
        replay.Apply(OtherRecord(input));
        break;
    }
  }
  CheckTable(replay.table);
  CheckReplay(replay);
  while (!input.empty()) KeepHouse(replay.table, input.Byte());
  for (uint8_t which = 0; which < 30; ++which) KeepHouse(replay.table, which);
  CheckTable(replay.table);
}

}  // namespace
}  // namespace boxkeeper::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  boxkeeper::fuzz::Input input(data, size);
  if (input.Byte() % 2 == 0) {
    boxkeeper::fuzz::RunRaw(input);
  } else {
    boxkeeper::fuzz::RunScript(input);
  }
  return 0;
}
