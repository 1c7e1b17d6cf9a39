"""A new try of a task instance meets what earlier tries left at the daemon. Decided in docs/adr/0018.

A worker that dies gives a new try, and the new try finds the earlier one by its key. At most one sandbox of a task instance
runs at a time; an earlier one is taken over, or its result, if it is of the same command and the user has not cleared the task
since; whatever else still runs is stopped before the new try submits its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Optional

from boxkeeper.airflow.commands import outcome
from boxkeeper.airflow.commands.compat import AirflowException
from boxkeeper.airflow.commands.connect import BEGIN_SECONDS
from boxkeeper.airflow.commands.submission import DIGEST_LABEL

if TYPE_CHECKING:
    from boxkeeper.airflow.commands.identity import Execution
    from boxkeeper.client import Client
    from boxkeeper.v1 import task_pb2

log = logging.getLogger(__name__)

STOP_SECONDS_MAX = 600.0  # how long a new try waits for the sandbox of an earlier one to be gone


def find_earlier(client: Client, execution: Execution, digest: str, *, reconnect: bool, window: float,
                 skip_codes: Collection[int]) -> Optional[task_pb2.Task]:
    """The task of an earlier try that this one takes over: live, or ended with a result at most `window` seconds ago. None: this
    try runs its own; then nothing of an earlier one runs any more.

    Without `reconnect` never one. AirflowException if an earlier sandbox does not end.
    """
    from boxkeeper.client import names, task_filter

    found = client.list_tasks(task_filter(key_prefix=execution.key_prefix()), timeout=BEGIN_SECONDS)
    tasks = sorted(found, key=lambda task: -task.generation)
    if tasks and tasks[0].submission_id == execution.submission_id:
        return None  # submitted before the answer was lost: submitting again gives the same task
    chosen: Optional[task_pb2.Task] = None
    if tasks and reconnect and _is_same(tasks[0], execution, digest) and _is_usable(tasks[0], execution, window, skip_codes):
        chosen = tasks[0]
    _stop([task for task in tasks if task is not chosen and not names.is_terminal(task)], client, execution)
    return chosen


def digest_of(spec: task_pb2.TaskSpec) -> str:
    """The digest that find_earlier compares with."""
    return spec.labels[DIGEST_LABEL]


def mark_refused(client: Client, execution: Execution, task: task_pb2.Task) -> None:
    """No later try takes this result, of which nothing could be made: its owner says so. A failure is no matter: then the next
    try may meet it again."""
    from boxkeeper.client import BoxkeeperError

    try:
        client.adopt_tasks(execution.refused_owner, ids=[task.id])
        cursor = ""
        with client.watch_events(execution.refused_owner, follow=False) as events:
            for event in events:
                cursor = event.cursor
        if cursor:  # these events are for nobody: acknowledged, they are not kept longer than others
            client.ack_events(execution.refused_owner, cursor)
    except BoxkeeperError as error:
        log.debug("could not mark the result of %s as refused: %s", task.id, error)


def _is_same(task: task_pb2.Task, execution: Execution, digest: str) -> bool:
    from boxkeeper.client.keys import try_number

    return task.labels.get(DIGEST_LABEL) == digest and execution.may_take_over(try_number(task.key))


def _is_usable(task: task_pb2.Task, execution: Execution, window: float, skip_codes: Collection[int]) -> bool:
    """Whether it runs, or has a result that may be taken."""
    from boxkeeper.client import names

    if not names.is_terminal(task):
        return names.state_name(task.state) != "STOPPING"
    ended = task.ended_at.seconds + task.ended_at.nanos / 1e9
    return outcome.is_result(task, skip_codes) and task.owner != execution.refused_owner and time.time() - ended <= window


def _stop(tasks: list[task_pb2.Task], client: Client, execution: Execution) -> None:
    from boxkeeper.client import WaitTimeout

    if not tasks:
        return
    ids = [task.id for task in tasks]
    log.info("stopping what an earlier try of this task instance left running: %s", ", ".join(ids))
    client.cancel_tasks(ids=ids, reason=f"airflow: try {execution.try_number} runs its own")
    try:
        client.wait(ids, until="END", timeout=STOP_SECONDS_MAX)
    except WaitTimeout:
        raise AirflowException(f"a sandbox of an earlier try has not ended within {STOP_SECONDS_MAX:.0f} s of being cancelled: "
                               f"{', '.join(ids)}") from None
