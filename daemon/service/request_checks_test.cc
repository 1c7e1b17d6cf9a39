#include "daemon/service/request_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/api/api_error.h"

namespace boxkeeper::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Fields that `status` complains about, in order.
std::vector<std::string> Fields(const absl::Status& status) {
  std::vector<std::string> fields;
  const google::rpc::Status rpc = ToRpcStatus(status);
  for (const auto& detail : rpc.details()) {
    google::rpc::BadRequest bad;
    if (!detail.UnpackTo(&bad)) continue;
    for (const auto& violation : bad.field_violations()) fields.push_back(violation.field());
  }
  return fields;
}

std::string ReasonOf(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  const google::rpc::Status rpc = ToRpcStatus(status);
  EXPECT_TRUE(rpc.details(0).UnpackTo(&info));
  return info.reason();
}

TEST(RequestChecksTest, BatchesAreBoundedInBytes) {
  EXPECT_TRUE(CheckBatchBytes(8 << 20).ok());
  const absl::Status refused = CheckBatchBytes((8 << 20) + 1);
  EXPECT_TRUE(absl::IsInvalidArgument(refused));
  EXPECT_EQ(ReasonOf(refused), "BATCH_TOO_LARGE");
}

TEST(RequestChecksTest, GetNeedsAReference) {
  v1::GetTaskRequest request;
  request.set_generation(-1);
  EXPECT_THAT(Fields(CheckRequest(request)), ElementsAre("task", "generation", "generation"));
  request.mutable_task()->mutable_key()->set_name("t");
  request.set_generation(3);
  EXPECT_TRUE(CheckRequest(request).ok());
  request.mutable_task()->set_id(std::string("a\0b", 3));
  request.set_generation(0);
  EXPECT_THAT(Fields(CheckRequest(request)), ElementsAre("task.id"));
}

TEST(RequestChecksTest, ListIsBounded) {
  v1::ListTasksRequest request;
  request.set_page_size(1000);
  EXPECT_TRUE(CheckRequest(request).ok());
  request.set_page_size(1001);
  request.mutable_filter()->add_states(v1::TASK_STATE_QUEUED);
  request.mutable_filter()->add_states(static_cast<v1::TaskState>(77));
  EXPECT_THAT(Fields(CheckRequest(request)), ElementsAre("filter.states[1]", "page_size"));
}

TEST(RequestChecksTest, CancelNeedsTasksOrANonEmptyFilterAndNotBoth) {
  v1::CancelTasksRequest request;
  EXPECT_THAT(Fields(CheckRequest(request)), ElementsAre("filter"));
  request.mutable_filter();
  EXPECT_THAT(Fields(CheckRequest(request)), ElementsAre("filter"));
  request.mutable_filter()->set_owner("");  // tasks without an owner: a condition
  EXPECT_TRUE(CheckRequest(request).ok());
  request.add_tasks()->set_id("x");
  EXPECT_THAT(Fields(CheckRequest(request)), ElementsAre("filter"));
  request.clear_filter();
  request.mutable_grace()->set_seconds(-1);
  EXPECT_THAT(Fields(CheckRequest(request)), ElementsAre("grace"));
}

TEST(RequestChecksTest, EveryViolationIsNamed) {
  v1::WaitTaskRequest wait;
  wait.add_ids("");
  wait.add_ids("ok");
  wait.add_ids(std::string(65, 'a'));
  wait.mutable_timeout()->set_nanos(-5);
  wait.set_until(static_cast<v1::WaitTaskRequest::Until>(9));
  EXPECT_THAT(Fields(CheckRequest(wait)), ElementsAre("ids[0]", "ids[2]", "until", "timeout"));
  EXPECT_THAT(Fields(CheckRequest(v1::AckEventsRequest())), ElementsAre("owner", "cursor"));
  EXPECT_THAT(Fields(CheckRequest(v1::AdoptTasksRequest())), ElementsAre("new_owner", "tasks"));
  v1::ReadLogRequest log;
  log.set_offset(-1);
  EXPECT_THAT(Fields(CheckRequest(log)), ElementsAre("id", "offset"));
  log.set_id("a");
  log.mutable_task()->set_id("a");
  log.set_unstored(false);
  EXPECT_THAT(Fields(CheckRequest(log)), ElementsAre("id", "unstored"));
  EXPECT_THAT(Fields(CheckRequest(v1::ListArtifactsRequest())), ElementsAre("task"));
  v1::ReadArtifactRequest artifact;
  artifact.set_offset(-1);
  EXPECT_THAT(Fields(CheckRequest(artifact)), ElementsAre("task", "path", "offset"));
  EXPECT_THAT(Fields(CheckRequest(v1::AbandonTaskRequest())), ElementsAre("id"));
  v1::RenewLeaseRequest renew;
  renew.add_ids("");
  EXPECT_THAT(Fields(CheckRequest(renew)), ElementsAre("ids[0]"));
  EXPECT_THAT(Fields(CheckRequest(v1::WatchEventsRequest())), IsEmpty());
}

}  // namespace
}  // namespace boxkeeper::daemon
