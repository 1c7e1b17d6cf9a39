#include "daemon/submit/packed_task.h"

#include <gtest/gtest.h>

#include <limits>

namespace boxkeeper::daemon {
namespace {

PreparedTask FullTask() {
  PreparedTask task;
  task.submission_id.id.bytes = {1, 2, 3};
  task.digest = std::string(32, 'd');
  task.key = "the/key";
  task.sealed_box = "box";
  task.on_live_key = v1::ON_LIVE_KEY_REPLACE;
  task.record.mutable_key()->set_name("n");
  task.record.set_owner("me");
  task.record.mutable_command()->set_shell("true");
  task.record.mutable_spec()->add_provider("local");
  task.record.mutable_spec()->set_priority(-3);
  task.record.mutable_spec()->mutable_timeout()->set_seconds(5);
  task.record.mutable_spec()->mutable_grace()->set_nanos(1'000'000);
  task.record.mutable_spec()->mutable_start_deadline()->set_seconds(7);
  task.record.mutable_spec()->mutable_log()->set_path("a/log");
  task.record.mutable_lease()->mutable_ttl()->set_seconds(9);
  task.record.mutable_lease()->set_on_lapse(v1::Lease::CANCEL);
  (*task.record.mutable_labels())["l"] = "v";
  return task;
}

TEST(PackedTaskTest, ThePiecesAreTheRecordThatOneMessageWouldBe) {
  Decision least;
  least.generation = 1;
  Decision most;
  most.generation = std::numeric_limits<int64_t>::max();
  most.id.id.bytes = {9, 8, 7};
  most.accepted_at_ms = std::numeric_limits<int64_t>::min();
  most.accepted_boot_ms = -1;
  most.after_generation = 200;
  for (const Decision& decision : {least, most}) {
    const PreparedTask task = FullTask();
    store::v1::Record whole;
    *whole.mutable_accepted() = task.record;
    store::v1::Accepted& expected = *whole.mutable_accepted();
    expected.set_submission_id(std::string("\1\2\3", 3) + std::string(13, '\0'));
    expected.set_digest(task.digest);
    expected.set_replaces(true);
    expected.set_generation(decision.generation);
    expected.set_id(decision.id.id.bytes.data(), decision.id.id.bytes.size());
    expected.set_accepted_at_ms(decision.accepted_at_ms);
    expected.set_accepted_boot_ms(decision.accepted_boot_ms);
    expected.set_after_generation(decision.after_generation);

    PackedTask packed = Pack(task);
    AppendDecision(decision, packed.accepted);
    const std::string bytes = AcceptedRecord(packed.accepted);
    store::v1::Record read;
    ASSERT_TRUE(read.ParseFromString(bytes));
    EXPECT_EQ(read.DebugString(), whole.DebugString());
    EXPECT_EQ(bytes.size(), whole.ByteSizeLong());  // no field twice
  }
}

TEST(PackedTaskTest, FactsAreThoseOfTheRecord) {
  const PackedTask packed = Pack(FullTask());
  EXPECT_EQ(packed.sealed_box, "box");
  EXPECT_EQ(packed.digest, std::string(32, 'd'));
  EXPECT_EQ(packed.on_live_key, v1::ON_LIVE_KEY_REPLACE);
  const TaskFacts& facts = packed.facts;
  EXPECT_EQ(facts.key, "the/key");
  EXPECT_EQ(facts.owner, "me");
  EXPECT_EQ(facts.provider, "local");
  EXPECT_EQ(facts.own_log_path, "a/log");
  EXPECT_EQ(facts.start_deadline_ms, 7000);
  EXPECT_EQ(facts.timeout_ms, 5000);
  EXPECT_EQ(facts.grace_ms, 1);
  EXPECT_EQ(facts.lease_ttl_ms, 9000);
  EXPECT_TRUE(facts.lease_cancels);
  EXPECT_TRUE(facts.replaces);
  EXPECT_EQ(facts.priority, -3);
}

TEST(PackedTaskTest, ARefusedTaskKeepsWhatRecognisesARepeat) {
  PreparedTask task = FullTask();
  task.violations.push_back({"field", "wrong"});
  const PackedTask packed = Pack(task);
  ASSERT_EQ(packed.violations.size(), 1u);
  EXPECT_EQ(packed.violations[0].field, "field");
  EXPECT_EQ(packed.submission_id, task.submission_id);
  EXPECT_EQ(packed.digest, task.digest);
  EXPECT_TRUE(packed.accepted.empty());
}

}  // namespace
}  // namespace boxkeeper::daemon
