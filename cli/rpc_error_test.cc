#include "cli/rpc_error.h"

#include <gtest/gtest.h>

namespace boxkeeper::cli {
namespace {

TEST(RpcErrorTest, ShowsEveryDetail) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  info.set_reason("INVALID_SPEC");
  details.add_details()->PackFrom(info);
  google::rpc::BadRequest bad;
  auto* violation = bad.add_field_violations();
  violation->set_field("sandbox_override.cpu");
  violation->set_description("must be positive");
  violation = bad.add_field_violations();
  violation->set_field("key.name");
  violation->set_description("required\x1b");
  details.add_details()->PackFrom(bad);
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(2);
  details.add_details()->PackFrom(retry);
  absl::Status error = WithDetails(absl::StatusCode::kInvalidArgument, "2 fields are wrong",
                                   details.SerializeAsString());
  EXPECT_EQ(ErrorText(error),
            "  sandbox_override.cpu: must be positive\n"
            "  key.name: required\\x1b\n"
            "  try again in 2s\n"
            "boxctl: INVALID_ARGUMENT/INVALID_SPEC: 2 fields are wrong\n");
  EXPECT_EQ(ErrorReason(error), "INVALID_SPEC");
}

TEST(RpcErrorTest, WorksWithoutDetails) {
  EXPECT_EQ(ErrorText(absl::NotFoundError("no such task")), "boxctl: NOT_FOUND: no such task\n");
  EXPECT_EQ(ErrorText(WithDetails(absl::StatusCode::kInternal, "x", "\xFF not a proto")),
            "boxctl: INTERNAL: x\n");
  EXPECT_EQ(ErrorReason(absl::NotFoundError("no such task")), "");
}

}  // namespace
}  // namespace boxkeeper::cli
