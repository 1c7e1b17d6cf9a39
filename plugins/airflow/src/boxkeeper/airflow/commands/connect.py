"""Clients for operators and triggers, from an Airflow connection."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boxkeeper.client import Client, ConnectionSettings

log = logging.getLogger(__name__)

# Seconds without the daemon after which a try gives up following its sandbox; the next one takes it over.
OUTAGE_SECONDS = 1800.0
# Seconds without the daemon after which a try that has not begun gives up.
BEGIN_SECONDS = 60.0
_ATTEMPTS = 1000  # so that a call's time bounds its repeats, and not their number


def settings_of(conn_id: str) -> ConnectionSettings:
    """How to reach the daemon of an Airflow connection, patient enough to follow a task through its restarts."""
    from boxkeeper.airflow.hooks.sandbox import SandboxHook

    settings = SandboxHook(conn_id).settings()
    return dataclasses.replace(settings, max_attempts=_ATTEMPTS, reconnect_timeout=max(settings.reconnect_timeout or 0.0, OUTAGE_SECONDS))


def open_client(conn_id: str) -> Client:
    """A client; leave it as a context manager."""
    from boxkeeper.client import Client

    return Client(settings_of(conn_id))


def cancel_within(seconds: float, settings: ConnectionSettings, task_id: str, key: Any) -> None:
    """Cancels a task by its id, or, where the submission's answer has not come yet, by its key. Raises nothing: whoever calls it is
    being killed, and the lease ends what cannot be cancelled now."""
    from boxkeeper.client import BoxkeeperError, Client

    try:
        with Client(settings) as client:
            reason = "airflow: the task was killed"
            if task_id:
                client.cancel_tasks(ids=[task_id], reason=reason, timeout=seconds)
            else:
                client.cancel_tasks(keys=[key], reason=reason, timeout=seconds)
    except BoxkeeperError as error:
        log.warning("could not cancel the sandbox (%s); it ends when its lease lapses", error)
