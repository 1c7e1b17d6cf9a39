#include "daemon/core/task_table.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <string>

#include "base/task_key.h"

namespace boxkeeper::daemon {
namespace {

namespace rec = ::boxkeeper::store::v1;

// A store in two lines: what is put can be replayed, what is deleted cannot.
class TaskTableTest : public ::testing::Test {
 protected:
  Position Put(const rec::Record& record) {
    const Position position = next_++;
    records_[position] = record;
    EXPECT_TRUE(table_.Apply(position, record).ok());
    return position;
  }

  Position Accept(Generation generation, const std::string& key, const std::string& owner = "o",
                  size_t bytes = 0) {
    rec::Record record;
    rec::Accepted& accepted = *record.mutable_accepted();
    accepted.set_generation(generation);
    accepted.set_id(IdOf(generation));
    accepted.set_submission_id(IdOf(generation));
    accepted.mutable_key()->set_name(key);
    *accepted.mutable_key() = base::NormalKey(accepted.key());
    accepted.set_owner(owner);
    accepted.mutable_command()->set_shell(std::string(bytes, 'x'));
    accepted.mutable_spec()->add_provider("fake");
    return Put(record);
  }

  Position Move(Generation generation, v1::TaskState state, bool fenced = false) {
    rec::Record record;
    rec::Transition& transition = *record.mutable_transition();
    transition.set_generation(generation);
    transition.set_event(v1::EVENT_TYPE_STATE);
    *transition.mutable_status() = table_.Find(generation)->status;
    transition.mutable_status()->set_state(state);
    transition.mutable_status()->set_fenced(fenced);
    return Put(record);
  }

  Position Acknowledge(const std::string& owner, Position position) {
    const OwnerStream* stream = table_.FindStream(owner);
    if (stream != nullptr && stream->ack_record != 0) records_.erase(stream->ack_record);
    rec::Record record;
    record.mutable_ack()->set_owner(owner);
    record.mutable_ack()->set_position(position);
    return Put(record);
  }

  void Compact(Generation generation) {
    TaskRow& row = *table_.Find(generation);
    for (const Position position : row.positions) records_.erase(position);
    table_.Remove(row);
    // As the engine: what was floored is written again.
    records_.erase(table_.meta_position());
    rec::Record meta;
    meta.mutable_meta()->set_generation_floor(table_.next_generation() - 1);
    meta.mutable_meta()->set_folded_cursor_floor(table_.folded_floor());
    for (const auto& [owner, stream] : table_.streams()) {
      (*meta.mutable_meta()->mutable_cursor_floor())[owner] = stream->floor;
    }
    Put(meta);
  }

  static std::string IdOf(Generation generation) {
    base::Id128 id;
    id.bytes[0] = static_cast<uint8_t>(generation);
    return IdBytes(id);
  }

  std::string Key(const std::string& name) {
    v1::TaskKey key;
    key.set_name(name);
    return base::KeyString(base::NormalKey(key));
  }

  // I9.
  void ExpectReplayGivesTheSame() {
    TaskTable replayed;
    for (const auto& [position, record] : records_) {
      ASSERT_TRUE(replayed.Apply(position, record).ok());
    }
    EXPECT_EQ(replayed.Fingerprint(), table_.Fingerprint());
  }

  TaskTable table_;
  std::map<Position, rec::Record> records_;
  Position next_ = 1;
};

TEST_F(TaskTableTest, AnAcceptedTaskIsQueuedAndFound) {
  Accept(1, "k");
  TaskRow* row = table_.Find(1);
  ASSERT_NE(row, nullptr);
  EXPECT_EQ(row->state(), v1::TASK_STATE_QUEUED);
  EXPECT_EQ(table_.FindById(row->id), row);
  EXPECT_EQ(table_.FindBySubmission(row->submission_id), row);
  EXPECT_EQ(table_.FindKey(Key("k"))->live, 1);
  EXPECT_EQ(table_.count(v1::TASK_STATE_QUEUED), 1);
  EXPECT_EQ(table_.next_generation(), 2);
}

TEST_F(TaskTableTest, ALargeSpecStaysInTheStore) {
  Accept(1, "small");
  Accept(2, "large", "o", 2'000);
  EXPECT_FALSE(table_.Find(1)->accepted.empty());
  EXPECT_TRUE(table_.Find(2)->accepted.empty());
}

TEST_F(TaskTableTest, TheSuccessorIsLiveOnceTheLiveOneIsFenced) {
  Accept(1, "k");
  Accept(2, "k");
  EXPECT_EQ(table_.FindKey(Key("k"))->successor, 2);
  Move(1, v1::TASK_STATE_LOST);
  EXPECT_EQ(table_.FindKey(Key("k"))->live, 1) << "something of it may still run";
  Move(1, v1::TASK_STATE_LOST, true);
  EXPECT_EQ(table_.FindKey(Key("k"))->live, 2);
  EXPECT_EQ(table_.FindKey(Key("k"))->successor, 0);
  ExpectReplayGivesTheSame();
}

TEST_F(TaskTableTest, ACompactedNewerTaskLeavesTheOlderLiveOne) {
  Accept(1, "k");
  Accept(2, "k");
  Move(2, v1::TASK_STATE_CANCELLED, true);
  Compact(2);
  const KeyEntry* key = table_.FindKey(Key("k"));
  ASSERT_NE(key, nullptr);
  EXPECT_EQ(key->live, 1);
  EXPECT_EQ(key->newest(), 1);
  ExpectReplayGivesTheSame();
}

TEST_F(TaskTableTest, TheEndIsTheFirstTerminalRecord) {
  Accept(1, "k");
  const Position end = Move(1, v1::TASK_STATE_FAILED);
  Move(1, v1::TASK_STATE_FAILED, true);
  EXPECT_EQ(table_.Find(1)->end_position, end);
}

TEST_F(TaskTableTest, UnacknowledgedEventsAreCountedAlongTheWay) {
  const Position first = Accept(1, "k");
  Move(1, v1::TASK_STATE_CREATING);
  Accept(2, "nobody's", "");
  EXPECT_EQ(table_.unacknowledged_events(), 2);
  Acknowledge("o", first);
  EXPECT_EQ(table_.unacknowledged_events(), 1);
  Move(1, v1::TASK_STATE_CANCELLED, true);
  EXPECT_EQ(table_.unacknowledged_events(), 2);
  ExpectReplayGivesTheSame();
  Compact(1);
  EXPECT_EQ(table_.unacknowledged_events(), 0);
}

TEST_F(TaskTableTest, AdoptionTellsBothOwners) {
  Accept(1, "k", "old");
  rec::Record record;
  record.mutable_owner_change()->set_generation(1);
  record.mutable_owner_change()->set_old_owner("old");
  record.mutable_owner_change()->set_new_owner("new");
  const Position won = Put(record);
  const Position lost = Put(record);
  EXPECT_EQ(table_.Find(1)->owner->name, "new");
  EXPECT_EQ(table_.events().at(won).type, v1::EVENT_TYPE_OWNER_CHANGED);
  EXPECT_EQ(table_.events().at(won).stream->name, "new");
  EXPECT_EQ(table_.events().at(lost).type, v1::EVENT_TYPE_OWNER_LOST);
  EXPECT_EQ(table_.events().at(lost).stream->name, "old");
  EXPECT_EQ(table_.LastEventOf(*table_.Find(1)), won);
  ExpectReplayGivesTheSame();
}

TEST_F(TaskTableTest, OnlyAnIdleStreamIsFoldedAndItsFloorStays) {
  Accept(1, "k", "o");
  table_.FoldStream("o");
  EXPECT_NE(table_.FindStream("o"), nullptr);
  const Position end = Move(1, v1::TASK_STATE_CANCELLED, true);
  Compact(1);
  table_.FoldStream("o");
  EXPECT_EQ(table_.FindStream("o"), nullptr);
  EXPECT_EQ(table_.folded_floor(), end);
  EXPECT_EQ(table_.Stream("another").floor, end);
}

TEST_F(TaskTableTest, AFloorBelowTheFoldedOneSurvivesAReplay) {
  rec::Record meta;
  meta.mutable_meta()->set_folded_cursor_floor(50);
  (*meta.mutable_meta()->mutable_cursor_floor())["o"] = 7;
  Put(meta);
  EXPECT_EQ(table_.FindStream("o")->floor, 7);
}

TEST_F(TaskTableTest, RecordsThatContradictAreDataLoss) {
  Accept(5, "k");
  rec::Record again = records_.begin()->second;
  EXPECT_EQ(table_.Apply(next_, again).code(), absl::StatusCode::kDataLoss);
  rec::Record stranger;
  stranger.mutable_transition()->set_generation(99);
  EXPECT_EQ(table_.Apply(next_, stranger).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(table_.Apply(next_, rec::Record()).code(), absl::StatusCode::kDataLoss);
}

TEST_F(TaskTableTest, AStateThatNobodyKnowsIsDataLoss) {
  Accept(1, "a");
  rec::Record record;
  record.mutable_transition()->set_generation(1);
  for (const int state : {-1, 0, 10, 1 << 30}) {
    record.mutable_transition()->mutable_status()->set_state(static_cast<v1::TaskState>(state));
    EXPECT_TRUE(absl::IsDataLoss(table_.Apply(next_, record))) << state;
  }
  EXPECT_EQ(table_.count(v1::TASK_STATE_QUEUED), 1);
}

TEST_F(TaskTableTest, AQueuedTaskTakesLessThanTwoKiB) {
  constexpr int kTasks = 20'000;
  rec::Record record;
  rec::Accepted& accepted = *record.mutable_accepted();
  *accepted.mutable_key() = base::NormalKey({});
  accepted.set_owner("airflow:prod:job-17");
  accepted.set_digest(std::string(32, 'd'));
  accepted.mutable_command()->set_shell(std::string(250, 'x'));
  accepted.mutable_spec()->add_provider("local");
  const size_t before = mallinfo2().uordblks;
  for (int i = 1; i <= kTasks; ++i) {
    base::Id128 id;
    std::memcpy(id.bytes.data(), &i, sizeof(i));
    accepted.set_generation(i);
    accepted.set_id(IdBytes(id));
    accepted.set_submission_id(IdBytes(id));
    accepted.mutable_key()->set_group("a_dag_of_usual_length");
    accepted.mutable_key()->set_name("task_" + std::to_string(i));
    ASSERT_TRUE(table_.Apply(i, record).ok());
  }
  const size_t each = (mallinfo2().uordblks - before) / kTasks;
  RecordProperty("bytes_per_task", static_cast<int>(each));
  std::printf("%zu bytes a task\n", each);
  // A sanitizer's allocator tells nothing here.
  EXPECT_LT(each, 2'048u);
}

TEST_F(TaskTableTest, ATombstoneKeepsSubmissionAndGeneration) {
  rec::Record record;
  record.mutable_tombstone()->set_generation(9);
  record.mutable_tombstone()->set_submission_id(IdOf(9));
  const Position position = Put(record);
  base::Id128 id;
  id.bytes[0] = 9;
  EXPECT_NE(table_.FindTombstone({id}), nullptr);
  EXPECT_EQ(table_.next_generation(), 10);
  table_.RemoveTombstone(position);
  EXPECT_EQ(table_.FindTombstone({id}), nullptr);
}

}  // namespace
}  // namespace boxkeeper::daemon
