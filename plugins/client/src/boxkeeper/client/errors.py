"""What can go wrong, as types. Every call of the clients raises nothing else; `reason` is one of docs/errors.md.

    BoxkeeperError
    ├── InvalidSettings       the client itself: nothing was sent
    ├── WaitTimeout           wait(): some tasks have not got there in time
    ├── RpcFailed             a call failed
    │   ├── Unavailable       nobody answers, or the daemon starts or stops
    │   ├── DeadlineExceeded  no answer in time: what was asked for may have happened
    │   ├── Busy              refused for now: repeat after `retry_after`
    │   ├── InvalidRequest    the request is wrong: `violations` has every mistake
    │   ├── Unauthenticated   no token, a wrong one, or no permission
    │   ├── NotFound          no such task, artifact or provider
    │   ├── CursorGone        the events after this cursor are gone: list, and resume from the list's cursor
    │   └── FailedPrecondition  not in this state, e.g. the task has not ended
    └── SubmitFailed          submit(): the one item was not taken
        ├── Rejected          `violations` says why
        ├── QueueFull         nothing was stored: repeat after `retry_after`
        └── AlreadyLive       another task lives under this key
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    from boxkeeper.v1 import executor_pb2, task_pb2


class Violation(NamedTuple):
    """One mistake: a path in the request, and what is allowed there. Never carries a secret's value."""

    field: str
    description: str

    def __str__(self) -> str:
        return f"{self.field}: {self.description}" if self.field else self.description


class BoxkeeperError(Exception):
    """Whatever the client raises."""


class InvalidSettings(BoxkeeperError, ValueError):
    """The connection's settings, or a call's arguments, cannot work. Nothing was sent."""


class WaitTimeout(BoxkeeperError, TimeoutError):
    """`tasks` as they were last seen, in the order asked for; some have not reached the condition."""

    def __init__(self, message: str, tasks: Sequence[task_pb2.Task]) -> None:
        super().__init__(message, tasks)  # all arguments, so that it can be pickled
        self.tasks = list(tasks)

    def __str__(self) -> str:
        return str(self.args[0])


class RpcFailed(BoxkeeperError):
    """A call that failed. `code` is the canonical code's name, `reason` why, or "" if gRPC itself answered.

    `violations` is every mistake of the request, `retry_after` seconds to wait if the daemon said so,
    `metadata` what the daemon says beside the reason.
    """

    def __init__(self, message: str, *, code: str = "UNKNOWN", reason: str = "", method: str = "",
                 violations: Sequence[Violation] = (), retry_after: Optional[float] = None,
                 metadata: Optional[dict[str, str]] = None) -> None:
        self.message = message
        self.code = code
        self.reason = reason
        self.method = method
        self.violations = tuple(violations)
        self.retry_after = retry_after
        self.metadata = dict(metadata or {})
        super().__init__(message)

    def __str__(self) -> str:
        what = f"{self.code}/{self.reason}" if self.reason else self.code
        text = f"{self.method}: {what}: {self.message}" if self.method else f"{what}: {self.message}"
        more = [str(v) for v in self.violations if str(v) not in self.message]
        return text + "".join("\n  " + line for line in more)


class Unavailable(RpcFailed):
    """Nobody answers, or the daemon starts or stops. Streams resume from where they were."""


class DeadlineExceeded(RpcFailed, TimeoutError):
    """No answer in time. What was asked for may have happened all the same."""


class Busy(RpcFailed):
    """SERVER_BUSY, BLOBS_FULL: nothing was done; repeat after `retry_after`."""


class InvalidRequest(RpcFailed, ValueError):
    """A field of the request is wrong, or it is too large. Repeating does not help."""


class Unauthenticated(RpcFailed):
    """TOKEN_MISSING, TOKEN_INVALID, or no permission."""


class NotFound(RpcFailed, LookupError):
    """TASK_NOT_FOUND, ARTIFACT_NOT_FOUND, ...: it never was, or was compacted."""


class CursorGone(RpcFailed):
    """Events after the cursor were compacted: list the tasks, then watch from the list's snapshot cursor."""


class FailedPrecondition(RpcFailed):
    """Not in this state: TASK_NOT_ENDED, BLOBS_OFF, ..."""


class SubmitFailed(BoxkeeperError):
    """The one item of submit() was not taken; `result` is what the daemon said of it."""

    def __init__(self, message: str, result: executor_pb2.SubmitResult) -> None:
        super().__init__(message, result)
        self.result = result

    def __str__(self) -> str:
        return str(self.args[0])


class Rejected(SubmitFailed, ValueError):
    """The item is wrong; `violations` has every mistake. Nothing was stored."""

    @property
    def violations(self) -> tuple[Violation, ...]:
        return tuple(Violation(v.field, v.description) for v in self.result.violations)


class QueueFull(SubmitFailed):
    """Nothing was stored; submit it again after `retry_after` seconds."""

    @property
    def retry_after(self) -> float:
        return self.result.retry_after.seconds + self.result.retry_after.nanos / 1e9


class AlreadyLive(SubmitFailed):
    """Another task lives under the key (on_live_key: REJECT). Nothing was stored."""

    @property
    def task_id(self) -> str:
        """Of the task that lives."""
        return self.result.id
