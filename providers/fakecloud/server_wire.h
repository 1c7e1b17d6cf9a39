// The JSON of FakeCloud's API, as the server reads and writes it. The shapes are in wire.h.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "boxkeeper/provider/v1/provider.pb.h"
#include "providers/testing/fake_world.h"

namespace boxkeeper::providers::fakecloud {

namespace pb = ::boxkeeper::provider::v1;

// A view in state UNKNOWN shows a word that no adapter knows.
boost::json::object SandboxToJson(const pb::SandboxView& view);
boost::json::object StartToJson(const pb::StartOutcome& outcome);
boost::json::object ErrorToJson(const std::string& code, const std::string& message);
boost::json::object AuditToJson(const testing::AuditEntry& entry);

// kInvalidArgument for what is no launch. Values of env are dropped: nothing here needs them.
absl::StatusOr<pb::LaunchRequest> LaunchFromJson(const boost::json::value& value);
absl::StatusOr<pb::CreateRequest> CreateFromJson(const boost::json::value& value);

}  // namespace boxkeeper::providers::fakecloud
