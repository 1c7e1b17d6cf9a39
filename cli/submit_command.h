// `submit`, and the parts of `run` that it shares: handing a task in, and --dry-run.
#pragma once

#include "absl/status/statusor.h"
#include "boxkeeper/v1/executor.pb.h"
#include "cli/session.h"
#include "cli/spec.h"

namespace boxkeeper::cli {

// Hands in one task, across restarts of the daemon: its submission id makes that safe. OK means
// that a task has this submission (ACCEPTED or DUPLICATE); every refusal is an error whose code and
// reason name it.
absl::StatusOr<v1::SubmitResult> SubmitOne(Session& session, const Submission& submission);

// Submits and prints the id.
int SubmitDetached(Session& session, const Submission& submission);

// Has the daemon check the task and prints the merged spec; stores nothing.
int DryRun(Session& session, const v1::TaskSpec& spec);

// kInvalidArgument: an --output names a directory of this machine, and nobody waits to fill it.
absl::Status CheckDetachedOutputs(const SubmitFlags& flags);

// The command itself.
int Submit(Session& session, const SubmitFlags& flags);

}  // namespace boxkeeper::cli
