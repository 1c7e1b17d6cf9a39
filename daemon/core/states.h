// The state machine of a task: one table of legal moves. docs/architecture.md shows the same table;
// a test compares them.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include "boxkeeper/v1/task.pb.h"

namespace boxkeeper::daemon {

// What can happen to a task. Every decision of the core is one of these.
enum class TaskEvent {
  kDispatched,       // admitted: a sandbox will be created
  kCreateRetryable,  // no sandbox, nothing started: another attempt later
  kCreateFatal,      // no sandbox and no use in trying again
  kStartIntended,    // the start intent is in the journal: from here user code may run
  kStartAttested,    // the provider attested that the command began
  kStartWithdrawn,   // one-step launch: the create that might have run it provably had no effect
  kStartFailed,      // the provider attested that the command could not be executed
  kExitedZero,       // attested exit code 0
  kExitedNonZero,  // attested other exit, signal, OOM or the run timeout enforced by the supervisor
  kStopRequested,  // cancel, lapsed lease, replacement, run timeout seen by the daemon
  kStopped,        // a requested stop is complete: fenced
  kTimeoutFenced,  // a stop because of the run timeout, or of a failed start, is complete: fenced
  kCancelled,      // cancelled before its start intent
  kExpired,        // start_deadline passed before its start intent
  kExecutionLost,  // no exit record will ever come
  kAbandoned,      // an operator gave up on it
};

struct Edge {
  v1::TaskState from;
  TaskEvent on;
  v1::TaskState to;
};

// Every legal move.
std::span<const Edge> Edges();

// The state after `event`; kFailedPrecondition if the table has no such edge. Pure.
absl::StatusOr<v1::TaskState> Next(v1::TaskState from, TaskEvent event);

bool IsTerminal(v1::TaskState state);
// True from the start intent to the end: user code may be running.
bool MayRun(v1::TaskState state);
// Holds a slot of max_running.
bool IsActive(v1::TaskState state);

std::string_view EventName(TaskEvent event);      // "kDispatched"
std::string_view StateName(v1::TaskState state);  // "QUEUED"
std::string_view ReasonName(v1::Reason reason);   // "EXIT_CODE"

}  // namespace boxkeeper::daemon
