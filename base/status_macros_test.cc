#include "base/status_macros.h"

#include <gtest/gtest.h>

#include <memory>

namespace boxkeeper::base {
namespace {

absl::StatusOr<std::unique_ptr<int>> Make(bool ok) {
  if (!ok) return absl::NotFoundError("none");
  return std::make_unique<int>(3);
}

absl::StatusOr<int> Twice(bool first, bool second) {
  RETURN_IF_ERROR(Make(first).status());
  ASSIGN_OR_RETURN(std::unique_ptr<int> a, Make(first));
  ASSIGN_OR_RETURN(auto b, Make(second));
  return *a + *b;
}

TEST(StatusMacrosTest, ReturnTheFirstErrorElseMoveTheValue) {
  EXPECT_EQ(*Twice(true, true), 6);
  EXPECT_EQ(Twice(true, false).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Twice(false, true).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace boxkeeper::base
