"""What the end of a sandbox means for the Airflow task, and in which words."""

from __future__ import annotations

import signal as signals
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Optional

from boxkeeper.airflow.commands.compat import AirflowException, AirflowFailException, AirflowSkipException

if TYPE_CHECKING:
    from boxkeeper.v1 import task_pb2

_STOPPED = {
    "CANCELLED": "it was cancelled",
    "CLIENT_LOST": "it was cancelled because nobody renewed its lease: the worker or the triggerer that followed it was gone",
}
_NEVER_RAN = {
    "EXPIRED": "its start deadline passed before the command started",
    "CREATE_FAILED": "no sandbox could be created",
    "START_FAILED": "the command could not be started",
    "IMAGE_NOT_FOUND": "its image was not found",
    "QUOTA": "the provider's quota is used up",
    "CAPACITY": "the provider has no capacity",
    "AUTH": "the provider refused our credentials",
    "INVALID_SPEC": "the provider refused the sandbox as described",
    "PROVIDER_PROTOCOL": "the provider's answer made no sense",
}
_LOST = {
    "SANDBOX_LOST": "the sandbox vanished and nobody saw how the command ended",
    "HOST_REBOOTED": "its host was rebooted and nobody saw how the command ended",
    "CREATE_UNCERTAIN": "it is not known whether the sandbox was ever created, so it cannot be run again safely",
}
LINE_CHARACTERS_MAX = 500  # of a line in a message
# Nothing of these changes by another try.
_FINAL = frozenset({"INVALID_SPEC"})


class SandboxFailed(AirflowException):
    """The command did not succeed. `state`, `reason` and `exit_code` (None = none attested) are the daemon's."""

    def __init__(self, message: str, state: str = "", reason: str = "", exit_code: Optional[int] = None) -> None:
        super().__init__(message)
        self.state = state
        self.reason = reason
        self.exit_code = exit_code


def exit_code_of(task: task_pb2.Task) -> Optional[int]:
    """The attested exit code; None if there is none."""
    return task.exit_code if task.HasField("exit_code") else None


def is_result(task: task_pb2.Task, skip_codes: Collection[int]) -> bool:
    """Whether the task's end is what the command had to say: it succeeded, or asks to be skipped."""
    from boxkeeper.client import names

    if names.succeeded(task):
        return True
    return names.reason_name(task.reason) == "EXIT_CODE" and exit_code_of(task) in skip_codes


def was_stopped(task: task_pb2.Task) -> bool:
    """Whether somebody stopped it, so that its end says nothing about the command."""
    from boxkeeper.client import names

    return names.state_name(task.state) == "CANCELLED"


def describe(task: task_pb2.Task) -> str:
    """What happened to a task that ended, in words."""
    from boxkeeper.client import names

    reason = names.reason_name(task.reason)
    if reason == "EXIT_CODE":
        text = f"the command exited with code {task.exit_code}"
    elif reason == "SIGNAL":
        text = f"the command was killed by {_signal(task)}"
    elif reason == "OOM":
        text = "the command was killed because it needed more memory than it may have" + _memory(task)
    elif reason == "RUN_TIMEOUT":
        text = f"the command ran longer than its timeout of {task.spec.timeout.ToJsonString()}"
    else:
        text = _STOPPED.get(reason) or _NEVER_RAN.get(reason) or _LOST.get(reason) or "the sandbox ended"
    if task.message and task.message not in text:
        text += f" ({task.message})"
    return f"{text} [{names.state_name(task.state)}/{reason}, task {task.id}]"


def raise_for_end(task: task_pb2.Task, skip_codes: Collection[int], last_lines: Sequence[str]) -> None:
    """Returns if the command succeeded; AirflowSkipException for one of `skip_codes`; AirflowFailException where another try
    cannot help; else SandboxFailed."""
    from boxkeeper.client import names

    if names.succeeded(task):
        return
    text = describe(task)
    reason = names.reason_name(task.reason)
    if is_result(task, skip_codes):
        raise AirflowSkipException(f"{text}; this code means: skip")
    if last_lines:
        text += "\nIts last lines:\n" + "\n".join("  " + line[:LINE_CHARACTERS_MAX] for line in last_lines)
    if reason in _FINAL:
        raise AirflowFailException(text)
    raise SandboxFailed(text, names.state_name(task.state), reason, exit_code_of(task))


def _signal(task: task_pb2.Task) -> str:
    if not task.HasField("signal"):
        return "a signal"
    try:
        return f"signal {task.signal} ({signals.Signals(task.signal).name})"
    except ValueError:
        return f"signal {task.signal}"


def _memory(task: task_pb2.Task) -> str:
    parts = []
    if task.spec.memory_mb:
        parts.append(f"limit {task.spec.memory_mb} MiB")
    if task.HasField("peak_memory_bytes"):
        parts.append(f"peak {task.peak_memory_bytes >> 20} MiB")
    return f" ({', '.join(parts)})" if parts else ""
