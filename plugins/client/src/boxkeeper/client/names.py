"""The API's enumerations as plain names: RUNNING instead of TASK_STATE_RUNNING."""

from __future__ import annotations

from typing import Any, Union

from boxkeeper.client.errors import InvalidSettings
from boxkeeper.v1 import task_pb2

Name = Union[str, int]  # a value of an enumeration, as its name or its number
_TERMINAL = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "LOST"})


def _name(enum: Any, value: int, prefix: str) -> str:
    if value not in enum.values():
        return str(value)  # of a daemon newer than this client
    return str(enum.Name(value))[len(prefix):]


def state_name(value: int) -> str:
    """QUEUED, CREATING, STARTING, RUNNING, STOPPING, SUCCEEDED, FAILED, CANCELLED or LOST."""
    return _name(task_pb2.TaskState, value, "TASK_STATE_")


def reason_name(value: int) -> str:
    """EXIT_CODE, SIGNAL, OOM, ...; UNSPECIFIED while the task has not ended."""
    return _name(task_pb2.Reason, value, "REASON_")


def event_name(value: int) -> str:
    """STATE, LOG_COMPLETE, OWNER_CHANGED or OWNER_LOST."""
    return _name(task_pb2.EventType, value, "EVENT_TYPE_")


def is_terminal(task: task_pb2.Task) -> bool:
    """Whether the task has ended, one way or another."""
    return state_name(task.state) in _TERMINAL


def succeeded(task: task_pb2.Task) -> bool:
    """Whether the task ended with an attested exit code 0."""
    return state_name(task.state) == "SUCCEEDED"


def describe_end(task: task_pb2.Task) -> str:
    """One line for people, e.g. `FAILED/EXIT_CODE: exit code 3`."""
    text = state_name(task.state)
    if task.reason:
        text += "/" + reason_name(task.reason)
    if task.message:
        return f"{text}: {task.message}"
    if task.HasField("exit_code"):
        return f"{text}: exit code {task.exit_code}"
    return text


def enum_value(enum: Any, name: Name, prefix: str = "") -> Any:
    """The number of a value given as its name, with or without prefix, or as its number. InvalidSettings if unknown."""
    if isinstance(name, int):
        return name
    full = name if name.startswith(prefix) else prefix + name
    if full not in enum.keys():
        known = ", ".join(key[len(prefix):] for key in enum.keys())
        raise InvalidSettings(f"{name!r} is none of {known}")
    return enum.Value(full)
