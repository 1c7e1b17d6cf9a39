#include "cli/proto_node.h"

#include <gtest/gtest.h>

#include "boxkeeper/v1/executor.pb.h"

namespace boxkeeper::cli {
namespace {

TEST(ProtoNodeTest, DefaultsArePrintedAndUnknownsAbsent) {
  v1::LogStatus log;
  EXPECT_EQ(CompactJson(ProtoNode(log)),
            R"({"stdout_bytes":"0","stderr_bytes":"0","dropped_bytes":"0","complete":false,)"
            R"("path":"","layout":"","incomplete":""})");
  const std::string task = CompactJson(ProtoNode(v1::Task()));
  EXPECT_NE(task.find(R"("state":"UNSPECIFIED")"), std::string::npos);
  for (const char* absent : {"exit_code", "signal", "started_at", "sandbox\"", "peak_memory"}) {
    EXPECT_EQ(task.find(absent), std::string::npos) << absent;
  }
}

TEST(ProtoNodeTest, EnumsLoseTheirPrefix) {
  EXPECT_EQ(EnumWord(v1::TASK_STATE_SUCCEEDED), "SUCCEEDED");
  EXPECT_EQ(EnumWord(v1::REASON_HOST_REBOOTED), "HOST_REBOOTED");
  EXPECT_EQ(EnumWord(v1::USER_CODE_STARTED_YES), "YES");
  EXPECT_EQ(EnumWord(v1::TaskKey::STEP), "STEP");
  EXPECT_EQ(EnumWord(v1::SubmitResult::ALREADY_LIVE), "ALREADY_LIVE");
  EXPECT_EQ(EnumWord(static_cast<v1::TaskState>(99)), "99");
}

TEST(ProtoNodeTest, TimesAndDurations) {
  v1::Task task;
  task.mutable_ended_at()->set_seconds(1'767'312'000);
  task.mutable_ended_at()->set_nanos(120'000'000);
  task.mutable_spec()->mutable_timeout()->set_seconds(90);
  task.mutable_spec()->mutable_timeout()->set_nanos(1000);
  const std::string json = CompactJson(ProtoNode(task));
  EXPECT_NE(json.find(R"("ended_at":"2026-01-02T00:00:00.120Z")"), std::string::npos) << json;
  EXPECT_NE(json.find(R"("timeout":"90.000001s")"), std::string::npos) << json;
}

TEST(ProtoNodeTest, OneofsStructsMapsAndBytes) {
  v1::TaskSpec spec;
  spec.mutable_command()->set_shell("");
  auto& fields = *spec.mutable_sandbox_override()->mutable_fields();
  fields["z"].set_number_value(1.5);
  fields["a"].mutable_list_value()->add_values()->set_bool_value(true);
  spec.add_files()->set_content("\xFF\x01");
  (*spec.mutable_labels())["b"] = "2";
  (*spec.mutable_labels())["a"] = "1";
  const std::string json = CompactJson(ProtoNode(spec));
  EXPECT_NE(json.find(R"("command":{"shell":""})"), std::string::npos) << json;
  EXPECT_NE(json.find(R"("sandbox_override":{"a":[true],"z":1.5})"), std::string::npos) << json;
  EXPECT_NE(json.find(R"("content":"/wE=")"), std::string::npos) << json;
  EXPECT_NE(json.find(R"("labels":{"a":"1","b":"2"})"), std::string::npos) << json;
}

}  // namespace
}  // namespace boxkeeper::cli
