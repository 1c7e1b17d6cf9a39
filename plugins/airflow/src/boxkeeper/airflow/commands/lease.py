"""How long a sandbox outlives the worker that follows it, and who renews that."""

from __future__ import annotations

import datetime
import logging
import threading
from typing import TYPE_CHECKING, Any, Optional

from boxkeeper.airflow.commands.compat import conf

if TYPE_CHECKING:
    from boxkeeper.client import Client

log = logging.getLogger(__name__)

NO_RETRY_SECONDS = 300.0          # nobody will come back for it
MARGIN_SECONDS = 300.0            # for scheduling the next try: a slot of the pool, a worker
LEASE_SECONDS_MAX = 7 * 86400 - 60  # the daemon takes less than a week
RENEW_SECONDS_MAX = 60.0


def lease_seconds(operator: Any, context: Any) -> float:
    """What fits a task instance: until Airflow has noticed that a worker is gone, its retry delay has passed and the next try
    has come; or shortly, if this try is the last."""
    ti = context["ti"]
    retries_left = max(getattr(ti, "max_tries", 0) or 0, operator.retries or 0) - (ti.try_number or 1) + 1
    if retries_left <= 0:
        return NO_RETRY_SECONDS
    noticed = conf.getfloat("scheduler", "task_instance_heartbeat_timeout", fallback=300.0)
    return min(noticed + _retry_delay(operator, ti.try_number or 1) + MARGIN_SECONDS, LEASE_SECONDS_MAX)


def _retry_delay(operator: Any, try_number: int) -> float:
    """Upper bound of the delay after this try, in seconds."""
    delay = operator.retry_delay
    seconds = delay.total_seconds() if isinstance(delay, datetime.timedelta) else float(delay)
    backoff = operator.retry_exponential_backoff  # a truth value, from Airflow 3.2 on a factor
    if backoff:
        seconds *= max(2.0, float(backoff)) ** min(try_number, 32)
    longest: Optional[datetime.timedelta] = operator.max_retry_delay
    if longest is not None:
        return min(seconds, longest.total_seconds())
    return min(seconds, 86400.0) if backoff else seconds


def renew_interval(ttl: float) -> float:
    """Seconds between two renewals of a lease of `ttl` seconds: two may fail."""
    return min(ttl / 3, RENEW_SECONDS_MAX)


class LeaseKeeper:
    """Renews the lease of one task on a thread of its own, between entering and leaving it. A failure is no matter: the daemon
    stops the clock while it cannot hear."""

    def __init__(self, client: Client, task_id: str, ttl: float) -> None:
        self._client = client
        self._task_id = task_id
        self._interval = renew_interval(ttl)
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="boxkeeper-lease")

    def __enter__(self) -> LeaseKeeper:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._leave.set()
        self._thread.join(2)

    def _run(self) -> None:
        from boxkeeper.client import BoxkeeperError

        while True:
            try:
                self._client.renew_lease([self._task_id])
            except BoxkeeperError as error:
                log.debug("could not renew the lease of %s: %s", self._task_id, error)
            if self._leave.wait(self._interval):
                return
