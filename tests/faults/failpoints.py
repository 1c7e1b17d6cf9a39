"""Which fault point kills in which scenario. test_failpoints.py runs them all and holds this table against the source.

A fault point may be a path "a>b>c": it kills at the first `c` after the first `b` after the first `a`. A commit's points
alone would name any commit; behind a transition and `batch.taken` they name the one that carries it."""

import os

from tests.faults import scenarios

# The moments of a transition's life; the fourth is its effect in the world, see _TRANSITIONS.
_MOMENTS = {"before the write": "", "after the write": ">batch.taken>commit.before_sync", "after the sync": ">batch.taken>commit.after_sync"}

# Move -> (scenario that makes it, the fault point right after its effect).
_TRANSITIONS = {
    "submit.accepted": (scenarios.zero, "submit.after_answer"),
    "kDispatched": (scenarios.zero, "create.after_answer"),
    "sandbox.ready": (scenarios.zero, "start.after_answer"),
    "kStartIntended": (scenarios.zero, "start.after_answer"),
    "kStartAttested": (scenarios.held, "event.after_send"),
    "kStartFailed": (scenarios.start_failed, "destroy.after_answer"),
    "kExitedZero": (scenarios.zero, "destroy.after_answer"),
    "kExitedNonZero": (scenarios.nonzero, "destroy.after_answer"),
    "kStopRequested": (scenarios.cancel_running, "signal.after_answer"),
    "kStopped": (scenarios.cancel_running, "destroy.after_answer"),
    "kCancelled": (scenarios.cancel_queued, "event.after_send"),
    "kExpired": (scenarios.expired, "event.after_send"),
    "kExecutionLost": (scenarios.execution_lost, "destroy.after_answer"),
    "kAbandoned": (scenarios.abandoned, "destroy.after_answer"),
    "kCreateRetryable": (scenarios.launcher_away, "create.after_answer"),
    "kCreateFatal": (scenarios.provider_gone, "event.after_send"),
    "kTimeoutFenced": (scenarios.timeout_seen_by_the_daemon, "destroy.after_answer"),
    "sandbox.cleanup_intended": (scenarios.zero, "destroy.after_answer"),
    "sandbox.forgotten": (scenarios.zero, "batch.committed"),
    "log.complete": (scenarios.zero, "event.after_send"),
    "ack.recorded": (scenarios.owners, "batch.committed"),
    "adopt.recorded": (scenarios.owners, "event.after_send"),
    "compact.recorded": (scenarios.compacted, "batch.committed"),
}

# The others, once each.
_SINGLE = {
    scenarios.zero: ["store.before_rename", "store.created", "submit.before_answer", "submit.after_answer", "batch.taken:5",
                     "batch.committed:5", "commit.before_write:4", "commit.before_sync:7", "commit.after_sync:6", "create.before_call",
                     "create.after_answer", "start.before_call", "start.after_answer", "hint.received", "destroy.before_call",
                     "destroy.after_answer", "event.before_send", "event.after_send:2", "log.before_write", "log.after_write",
                     "log.after_sync", "log_record.written", "log_record.synced", "log.before_exit_record", "log.after_exit_record"],
    scenarios.outputs: ["artifact.before_put", "artifact.after_put", "artifact.after_put:2", "artifact.manifest_stored"],
    scenarios.room: ["spool.before_freed", "spool.after_freed:2", "spool.after_punch"],
    scenarios.blob: ["blob.renamed"],
    scenarios.airflow: ["piece.cut", "piece.before_put", "piece.after_put", "piece.confirmed"],
    scenarios.cancel_running: ["signal.before_call", "signal.after_answer", "inspect.after_answer"],
    scenarios.hand_over: ["hand_over.begun", "hand_over.calls_returned", "hand_over.joined", "hand_over.logs_stopped",
                          "checkpoint.begun", "checkpoint.before_truncate"],
    scenarios.restart: ["recover.loaded", "recover.epoch_synced", "recover.resumed", "provider.opened"],
}

# The same moves at FakeCloud: over the wire, with answers that get lost.
_CLOUD_TRANSITIONS = {
    "kDispatched": (scenarios.cloud_zero, "create.after_answer"),
    "sandbox.ready": (scenarios.cloud_create_answer_lost, "start.after_answer"),
    "kStartIntended": (scenarios.cloud_start_answer_lost, "start.after_answer"),
    "kStartAttested": (scenarios.cloud_nonzero, "event.after_send"),
    "kExitedNonZero": (scenarios.cloud_nonzero, "destroy.after_answer"),
    "kStartFailed": (scenarios.cloud_start_fails, "destroy.after_answer"),
    "kCreateRetryable": (scenarios.cloud_create_fails_once, "create.after_answer"),
    "kStartWithdrawn": (scenarios.cloud_launch_withdrawn, "create.after_answer"),
    "kCreateFatal": (scenarios.cloud_key_refused, "event.after_send"),
    "kStopRequested": (scenarios.cloud_cancel, "signal.after_answer"),
    "kStopped": (scenarios.cloud_cancel, "destroy.after_answer"),
    "kExecutionLost": (scenarios.cloud_vanishes, "event.after_send"),
    "sandbox.cleanup_intended": (scenarios.cloud_zero, "destroy.after_answer"),
    "sandbox.forgotten": (scenarios.cloud_zero, "batch.committed"),
}
_CLOUD_SINGLE = {
    scenarios.cloud_zero: ["create.before_call", "create.after_answer", "start.before_call", "start.after_answer", "destroy.before_call",
                           "destroy.after_answer"],
    scenarios.cloud_create_answer_lost: ["create.after_answer"],
    scenarios.cloud_output: ["pull.after_write:2", "pull.after_sync:2", "pull.after_index", "drain.before", "drain.after_sync",
                             "drain.after"],
    scenarios.cloud_start_answer_lost: ["start.after_answer"],
    scenarios.cloud_start_never_arrives: ["fence.before_call", "fence.after_answer"],
}

# Of boxlaunch and its supervisors. Where a supervisor dies, nobody saw how the command ended.
_LAUNCHER = {
    scenarios.zero: ["launcher.create.recorded", "launcher.start.forked", "launcher.start.noticed", "launcher.end.known",
                     "launcher.destroy.retired", "supervisor.after_exit_record"],
    scenarios.maybe_lost: ["launcher.start.recorded", "supervisor.begun", "supervisor.spawned", "supervisor.start_told",
                           "supervisor.pid_recorded", "supervisor.command_ended", "supervisor.before_exit_record"],
    scenarios.outputs_lost: ["supervisor.outputs_received"],
    scenarios.outputs_kept_though_lost: ["supervisor.outputs_stored"],
}


# Scenarios that wait for a clock, however the daemon dies: always their first moment without --full.
_SLOW = {scenarios.timeout_seen_by_the_daemon}


_FULL = bool(os.environ.get("BOXKEEPER_FULL"))


def _cases(transitions, single):
    """Without --full one moment of each transition: the first of one, the second of the next, and so on."""
    for number, (move, (scenario, effect)) in enumerate(transitions.items()):
        points = [*(move + suffix for suffix in _MOMENTS.values()), f"{move}>batch.taken>commit.after_sync>{effect}"]
        if not _FULL:
            points = [points[0 if scenario in _SLOW else number % len(points)]]
        for point in points:
            yield scenario, point
    for scenario, names in single.items():
        for name in names:
            yield scenario, name


# (scenario, fault point) of each kill of the daemon, and of the launcher or a supervisor.
DAEMON = list(_cases(_TRANSITIONS, _SINGLE))
CLOUD = list(_cases(_CLOUD_TRANSITIONS, _CLOUD_SINGLE))
LAUNCHER = [(scenario, name) for scenario, names in _LAUNCHER.items() for name in names]


def names():
    """Every name that occurs in the tables."""
    return {step.partition(":")[0] for _, path in DAEMON + CLOUD + LAUNCHER for step in path.split(">")}
