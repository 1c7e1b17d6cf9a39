"""A running task's log for Airflow's UI: what the daemon has and the log store has not yet.

Runs in the api-server, on an executor that was never started: a short-lived client, nothing kept.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from boxkeeper.airflow.executors.config import Configuration, read_connection
from boxkeeper.airflow.executors.keys import Namespace

if TYPE_CHECKING:
    from boxkeeper.client import Client
    from boxkeeper.v1 import task_pb2

log = logging.getLogger(__name__)

_MOST = 8 << 20     # bytes of one answer
_TIMEOUT = 5.0      # seconds of each call: a person waits


def read_unstored(conf: Configuration, namespace: Namespace, ti: Any, try_number: int) -> tuple[list[str], list[str]]:
    """(messages about the source, [text]): text is JSON lines as in Airflow's own logs. Never raises."""
    try:
        return _read(conf, namespace, ti, try_number)
    except Exception as error:
        log.debug("boxkeeper: no live log", exc_info=True)
        return [f"Boxkeeper: the live log cannot be read: {error}"], []


def _read(conf: Configuration, namespace: Namespace, ti: Any, try_number: int) -> tuple[list[str], list[str]]:
    from boxkeeper.client import Client, ConnectionSettings, NotFound

    settings = ConnectionSettings(**{**read_connection(conf), "timeout": _TIMEOUT, "max_attempts": 1})
    with Client(settings) as client:
        try:
            task = client.get_task(key=namespace.of_instance(ti, try_number))
        except NotFound:
            return ["Boxkeeper: the daemon does not know this try (any more)"], []
        messages = [describe_source(task)]
        text = unstored(client, task)
        return messages, [text] if text else []


def describe_source(task: task_pb2.Task) -> str:
    """Where the log comes from, for the head of the page."""
    from boxkeeper.client import names

    where = f" on {task.sandbox.provider}, sandbox {task.sandbox.name}" if task.sandbox.name else ""
    waiting = f", waiting for {task.waiting_for}" if task.waiting_for else ""
    return f"Boxkeeper: task {task.id} is {names.state_name(task.state)}{where}{waiting}"


def unstored(client: Client, task: task_pb2.Task) -> str:
    """The records that the log store does not have yet, whole lines. Airflow has read the store before it asks, so none
    comes twice. Empty where the task writes its log itself."""
    if task.log.layout != "airflow":
        return ""
    pieces, size = [], 0
    with client.read_log(task.id, unstored=True, timeout=_TIMEOUT) as chunks:
        for chunk in chunks:
            pieces.append(chunk.data)
            size += len(chunk.data)
            if size >= _MOST:
                break
    return b"".join(pieces).decode("utf-8", "replace")
