"""What an event of the daemon means for Airflow. Pure."""

from __future__ import annotations

import datetime
import enum
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

if TYPE_CHECKING:
    from boxkeeper.v1 import executor_pb2, task_pb2


class Verdict(enum.Enum):
    """What to tell Airflow."""

    NOTHING = "nothing"
    RUNNING = "running"
    SUCCESS = "success"
    FAIL = "fail"
    # Not ours any more, without an event: it expired before it began (the stuck-queue path gives it a fresh token), or it
    # has another owner.
    FORGET = "forget"


class Outcome(NamedTuple):
    """`info` is what Airflow shows with a failure; `note` the text of a task event, empty = none."""

    verdict: Verdict
    info: str = ""
    note: str = ""


class Adoption(enum.Enum):
    """What becomes of a task instance whose scheduler died."""

    LIVE = "live"        # runs: ours now
    ENDED = "ended"      # its end is to be told
    UNKNOWN = "unknown"  # Airflow resets it


def judge(event: task_pb2.Event) -> Outcome:
    """The meaning of one event of a task that is ours."""
    from boxkeeper.v1 import task_pb2

    if event.type == task_pb2.EVENT_TYPE_OWNER_LOST:
        return Outcome(Verdict.FORGET)
    if event.type in (task_pb2.EVENT_TYPE_STATE, task_pb2.EVENT_TYPE_OWNER_CHANGED):
        return judge_state(event.task)
    return Outcome(Verdict.NOTHING)  # LOG_COMPLETE, and what a newer daemon may say


def judge_state(task: task_pb2.Task) -> Outcome:
    """The meaning of the state that a task is in."""
    from boxkeeper.v1 import task_pb2

    if task.state == task_pb2.TASK_STATE_SUCCEEDED:
        return Outcome(Verdict.SUCCESS)
    if task.state == task_pb2.TASK_STATE_RUNNING:
        return Outcome(Verdict.RUNNING)
    if task.state not in (task_pb2.TASK_STATE_FAILED, task_pb2.TASK_STATE_LOST, task_pb2.TASK_STATE_CANCELLED):
        return Outcome(Verdict.NOTHING)
    text = describe_end(task)
    if task.reason == task_pb2.REASON_EXPIRED:
        return Outcome(Verdict.FORGET, note=f"{text}. The task waited longer for a sandbox than its token lives; Airflow queues it "
                                            "again with a new one, which costs no retry")
    return Outcome(Verdict.FAIL, info=text, note=text)


def describe_end(task: task_pb2.Task) -> str:
    """One line for people: what ended it, in the provider's own words, and whether user code had begun."""
    from boxkeeper.v1 import task_pb2

    reason = task_pb2.Reason.Name(task.reason).replace("REASON_", "")
    state = task_pb2.TaskState.Name(task.state).replace("TASK_STATE_", "")
    text = f"sandbox task {task.id} ended {state}/{reason}"
    if task.HasField("exit_code"):
        text += f" with exit code {task.exit_code}"
    if task.HasField("signal"):
        text += f" by signal {task.signal}"
    if task.message:
        text += f": {task.message}"
    if task.user_code_started == task_pb2.USER_CODE_STARTED_NO:
        text += " (user code never started)"
    return text


def judge_adoption(result: executor_pb2.AdoptResult, *, queued: bool, external_executor_id: Optional[str],
                   queued_at: Optional[datetime.datetime], fresh_ids: bool) -> Adoption:
    """Whether the newest task of a key is the execution that Airflow means. `queued`: the task instance is QUEUED, so it has
    not begun; then a task of an earlier execution (deferred, rescheduled) under the same key must not speak for it.
    `fresh_ids`: this Airflow gives every enqueueing an id of its own, which is our submission id until ours is stored."""
    from boxkeeper.v1 import executor_pb2

    if result.outcome == executor_pb2.AdoptResult.UNKNOWN:
        return Adoption.UNKNOWN
    if queued and _is_stale(result.task, external_executor_id or "", queued_at, fresh_ids):
        return Adoption.UNKNOWN
    return Adoption.LIVE if result.outcome == executor_pb2.AdoptResult.LIVE else Adoption.ENDED


def _is_stale(task: Any, external_executor_id: str, queued_at: Optional[datetime.datetime], fresh_ids: bool) -> bool:
    from boxkeeper.v1 import task_pb2

    if fresh_ids and external_executor_id:
        return external_executor_id not in (task.submission_id, task.id)
    if task.state in (task_pb2.TASK_STATE_QUEUED, task_pb2.TASK_STATE_CREATING) or queued_at is None:
        return False  # an earlier execution has begun
    moment = queued_at if queued_at.tzinfo else queued_at.replace(tzinfo=datetime.timezone.utc)
    return bool(task.accepted_at.ToNanoseconds() / 1e9 < moment.timestamp())
