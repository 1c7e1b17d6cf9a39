// The JSON of FakeCloud's API, as the adapter reads and writes it.
//
//   sandbox  {"id", "name", "labels": {}, "state": "created" | "starting" | "running" | "ended",
//             "created_at", "started_at", "exit": {...}}
//   exit     {"exit_code" or "signal" or neither, "oom_killed", "timed_out", "start_failed",
//             "started_at", "ended_at", "stdout_bytes", "stderr_bytes", "message"}
//   launch   {"exec_id", "argv": [] | "shell" | "script": {"lang", "body"}, "env": {},
//             "timeout_ms", "grace_ms"}
//   error    {"error": {"code", "message"}}
//
// Times are RFC 3339. A state word that is none of these is UNKNOWN, never an end.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "boxkeeper/provider/v1/provider.pb.h"
#include "providers/provider.h"

namespace boxkeeper::providers::fakecloud {

// The codes of an error body that decide more than the status does.
inline constexpr char kCodeNotFound[] = "sandbox_not_found";
inline constexpr char kCodeNoExecution[] = "execution_not_found";
inline constexpr char kCodeTaken[] = "name_taken";
inline constexpr char kCodeCapacity[] = "no_capacity";
inline constexpr char kCodeQuota[] = "quota_exceeded";

// kInvalidArgument for what is no sandbox: no id or name, or a field of a wrong type or range.
absl::StatusOr<pb::SandboxView> SandboxFromJson(const boost::json::value& value);
// {"sandboxes": [...], "next_cursor"}.
absl::StatusOr<pb::ListPage> ListFromJson(const boost::json::value& value);
// {"result": "started" | "ended" | "failed", "at", "repeated", "exit": {...}, "message", "errno"}.
absl::StatusOr<pb::StartOutcome> StartFromJson(const boost::json::value& value);
// {"error": {"code"}}; "" if there is none.
std::string ErrorCodeOf(const boost::json::value& body);

boost::json::object LaunchToJson(const pb::LaunchRequest& launch);

}  // namespace boxkeeper::providers::fakecloud
