#include "daemon/core/states.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace boxkeeper::daemon {
namespace {

using enum TaskEvent;

constexpr v1::TaskState kQueued = v1::TASK_STATE_QUEUED;
constexpr v1::TaskState kCreating = v1::TASK_STATE_CREATING;
constexpr v1::TaskState kStarting = v1::TASK_STATE_STARTING;
constexpr v1::TaskState kRunning = v1::TASK_STATE_RUNNING;
constexpr v1::TaskState kStopping = v1::TASK_STATE_STOPPING;
constexpr v1::TaskState kSucceeded = v1::TASK_STATE_SUCCEEDED;
constexpr v1::TaskState kFailed = v1::TASK_STATE_FAILED;
constexpr v1::TaskState kCancelledState = v1::TASK_STATE_CANCELLED;
constexpr v1::TaskState kLost = v1::TASK_STATE_LOST;

constexpr Edge kEdges[] = {
    {kQueued, kDispatched, kCreating},      {kQueued, kCancelled, kCancelledState},
    {kQueued, kExpired, kFailed},           {kQueued, kCreateFatal, kFailed},
    {kCreating, kCreateRetryable, kQueued}, {kCreating, kCreateFatal, kFailed},
    {kCreating, kStartIntended, kStarting}, {kCreating, kCancelled, kCancelledState},
    {kCreating, kExpired, kFailed},         {kStarting, kStartAttested, kRunning},
    {kStarting, kStartWithdrawn, kQueued},  {kStarting, kStartFailed, kFailed},
    {kStarting, kExitedZero, kSucceeded},   {kStarting, kExitedNonZero, kFailed},
    {kStarting, kStopRequested, kStopping}, {kStarting, kExecutionLost, kLost},
    {kStarting, kAbandoned, kLost},         {kRunning, kExitedZero, kSucceeded},
    {kRunning, kExitedNonZero, kFailed},    {kRunning, kStopRequested, kStopping},
    {kRunning, kExecutionLost, kLost},      {kRunning, kAbandoned, kLost},
    {kStopping, kStopped, kCancelledState}, {kStopping, kExitedZero, kSucceeded},
    {kStopping, kExitedNonZero, kFailed},   {kStopping, kTimeoutFenced, kFailed},
    {kStopping, kExecutionLost, kLost},     {kStopping, kAbandoned, kLost},
};

constexpr std::string_view kEventNames[] = {
    "kDispatched",    "kCreateRetryable", "kCreateFatal",   "kStartIntended",
    "kStartAttested", "kStartWithdrawn",  "kStartFailed",   "kExitedZero",
    "kExitedNonZero", "kStopRequested",   "kStopped",       "kTimeoutFenced",
    "kCancelled",     "kExpired",         "kExecutionLost", "kAbandoned",
};

// Protobuf's names live as long as the program.
std::string_view WithoutPrefix(const std::string& name, std::string_view prefix) {
  return std::string_view(name).substr(name.starts_with(prefix) ? prefix.size() : 0);
}

}  // namespace

std::span<const Edge> Edges() { return kEdges; }

absl::StatusOr<v1::TaskState> Next(v1::TaskState from, TaskEvent event) {
  for (const Edge& edge : kEdges) {
    if (edge.from == from && edge.on == event) return edge.to;
  }
  return absl::FailedPreconditionError(absl::StrCat("no edge from ", std::string(StateName(from)),
                                                    " on ", std::string(EventName(event))));
}

bool IsTerminal(v1::TaskState state) { return state >= kSucceeded; }

bool MayRun(v1::TaskState state) {
  return state == kStarting || state == kRunning || state == kStopping;
}

bool IsActive(v1::TaskState state) { return state == kCreating || MayRun(state); }

std::string_view EventName(TaskEvent event) { return kEventNames[static_cast<size_t>(event)]; }

std::string_view StateName(v1::TaskState state) {
  return WithoutPrefix(v1::TaskState_Name(state), "TASK_STATE_");
}

std::string_view ReasonName(v1::Reason reason) {
  return WithoutPrefix(v1::Reason_Name(reason), "REASON_");
}

}  // namespace boxkeeper::daemon
