"""Submitting one command to a daemon that may be full, or away for a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from boxkeeper.airflow.commands.compat import AirflowException, AirflowFailException
from boxkeeper.airflow.commands.connect import BEGIN_SECONDS

if TYPE_CHECKING:
    from boxkeeper.client import Client, Rejected
    from boxkeeper.v1 import executor_pb2, task_pb2

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5      # how soon a kill is noticed while the queue is full


def submit_patiently(client: Client, spec: task_pb2.TaskSpec, killed: Callable[[], bool]) -> executor_pb2.SubmitResult:
    """Submits; waits while the daemon's queue is full. AirflowFailException if the daemon refuses it for good, with every mistake;
    AirflowException if it cannot be reached or the task was killed meanwhile."""
    from boxkeeper.client import BoxkeeperError, InvalidRequest, QueueFull, Rejected

    told = False
    while not killed():
        try:
            result = client.submit(spec, timeout=BEGIN_SECONDS)
        except Rejected as error:
            raise AirflowFailException(_rejected(error)) from None
        except InvalidRequest as error:
            raise AirflowFailException(f"Boxkeeper does not take this command: {error}") from None
        except QueueFull as error:
            if not told:
                log.info("The daemon's queue is full; waiting for room.")
            told = True
            _sleep(max(error.retry_after, _LOOK_SECONDS), killed)
            continue
        except BoxkeeperError as error:
            raise AirflowException(f"could not submit the command: {error}") from None
        if killed():  # between the submission and its answer: on_kill did not know it
            client.cancel_tasks(ids=[result.id], reason="airflow: the task was killed")
        return result
    raise AirflowException("the task was killed before its command was submitted")


def _rejected(error: Rejected) -> str:
    mistakes = "".join(f"\n  {violation.field}: {violation.description}" for violation in error.violations)
    return f"Boxkeeper refuses this sandbox; nothing was run:{mistakes or ' ' + str(error)}"


def _sleep(seconds: float, killed: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not killed():
        time.sleep(min(_LOOK_SECONDS, max(0.0, end - time.monotonic())))
