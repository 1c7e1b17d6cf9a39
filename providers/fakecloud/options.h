// The keys of a section of type `fakecloud`. Beside those of every remote provider
// (providers/runtime/remote_options.h) they say what this FakeCloud promises: they must agree with
// the flags and the script it runs with.
#pragma once

#include <chrono>
#include <vector>

#include "absl/status/statusor.h"
#include "google/protobuf/struct.pb.h"
#include "providers/provider.h"
#include "providers/runtime/remote_options.h"

namespace boxkeeper::providers::fakecloud {

struct FakeCloudOptions {
  RemoteOptions remote;
  bool one_step = false;
  bool name_unique_incl_ended = true;
  bool events = true;
  std::chrono::milliseconds list_lag{0};
  std::chrono::milliseconds create_settle{60'000};
};

// Every mistake of the section, as fields below it. Pure.
std::vector<FieldViolation> ValidateFakeCloudConfig(const google::protobuf::Struct& options);

// kInvalidArgument where ValidateFakeCloudConfig finds something.
absl::StatusOr<FakeCloudOptions> ParseFakeCloudOptions(const google::protobuf::Struct& options);

}  // namespace boxkeeper::providers::fakecloud
