#include "daemon/service/grpc_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/api/api_error.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace boxkeeper::daemon {
namespace {

using ::testing::HasSubstr;

google::rpc::Status Details(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

TEST(GrpcStatusTest, CarriesReasonViolationsAndRetry) {
  ApiErrorDetails given;
  given.violations.push_back({"tasks[0]", "bad"});
  given.retry_after = std::chrono::milliseconds(1500);
  const grpc::Status status =
      ToGrpcStatus(ApiError(absl::StatusCode::kInvalidArgument, "INVALID_REQUEST", "no", given));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "no");
  const google::rpc::Status details = Details(status);
  google::rpc::ErrorInfo info;
  google::rpc::BadRequest bad;
  google::rpc::RetryInfo retry;
  ASSERT_EQ(details.details_size(), 3);
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  ASSERT_TRUE(details.details(1).UnpackTo(&bad));
  ASSERT_TRUE(details.details(2).UnpackTo(&retry));
  EXPECT_EQ(info.reason(), "INVALID_REQUEST");
  EXPECT_EQ(info.domain(), "boxkeeper");
  EXPECT_EQ(bad.field_violations(0).field(), "tasks[0]");
  EXPECT_EQ(retry.retry_delay().nanos(), 500'000'000);
}

TEST(GrpcStatusTest, AStatusMadeElsewhereHasItsCodesNameAsReason) {
  const google::rpc::Status details = Details(ToGrpcStatus(absl::NotFoundError("gone")));
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "NOT_FOUND");
}

TEST(GrpcStatusTest, TrailersStayBelowWhatClientsTake) {
  ApiErrorDetails given;
  for (int i = 0; i < 1000; ++i) {
    given.violations.push_back({"ids[" + std::to_string(i) + "]", "a task's id is required"});
  }
  const grpc::Status status = ToGrpcStatus(ApiError(
      absl::StatusCode::kInvalidArgument, "INVALID_REQUEST", std::string(100'000, 'x'), given));
  EXPECT_LE(status.error_details().size(), 4096u + 1100u);
  EXPECT_LE(status.error_message().size(), 1100u);
  const google::rpc::Status details = Details(status);
  google::rpc::BadRequest bad;
  ASSERT_TRUE(details.details(1).UnpackTo(&bad));
  EXPECT_EQ(bad.field_violations(0).field(), "ids[0]");
  const int shown = bad.field_violations_size() - 1;
  EXPECT_GT(shown, 10);
  EXPECT_THAT(bad.field_violations(shown).description(),
              HasSubstr(std::to_string(1000 - shown) + " more"));
}

}  // namespace
}  // namespace boxkeeper::daemon
