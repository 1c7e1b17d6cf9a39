"""When a failed call is repeated, and after how long. The waiting itself is the caller's: sync or asyncio."""

from __future__ import annotations

import random
import time
from typing import Optional

from boxkeeper.client.errors import Busy, RpcFailed, Unavailable

INITIAL_BACKOFF = 0.1  # seconds
MAX_BACKOFF = 5.0      # seconds
# Refusals before anything was done: any call may be repeated after them.
_NOTHING_DONE = frozenset({"SERVER_BUSY", "NOT_READY"})
# What breaks a stream, or a wait, that can go on where it was.
_INTERRUPTIONS = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "ABORTED"})
# An attempt that lasted this long had a connection: making one fails sooner (grpc.min_reconnect_backoff_ms).
_CONNECTED_SECONDS = 10.0


class Backoff:
    """Waits that double from INITIAL_BACKOFF to MAX_BACKOFF, each between half of it and all of it, at random."""

    def __init__(self) -> None:
        self._next = INITIAL_BACKOFF

    def seconds(self, at_least: Optional[float] = None) -> float:
        """The next wait; never below `at_least`, what the daemon asked for."""
        wait = self._next * random.uniform(0.5, 1.0)
        self._next = min(self._next * 2, MAX_BACKOFF)
        return max(wait, at_least or 0.0)


class Attempts:
    """The attempts of one call that must be through by `deadline` (monotonic seconds)."""

    def __init__(self, deadline: float, max_attempts: int, idempotent: bool) -> None:
        self._deadline = deadline
        self._left = max_attempts
        self._idempotent = idempotent
        self._backoff = Backoff()

    def timeout(self) -> float:
        """Seconds for the next attempt."""
        return max(0.0, self._deadline - time.monotonic())

    def wait_after(self, error: RpcFailed) -> Optional[float]:
        """Seconds to wait before the next attempt; None if there is to be none."""
        self._left -= 1
        if self._left <= 0 or not self._may_repeat(error):
            return None
        wait = self._backoff.seconds(error.retry_after)
        return wait if wait < self.timeout() else None

    def _may_repeat(self, error: RpcFailed) -> bool:
        if error.reason in _NOTHING_DONE:
            return True
        return self._idempotent and (isinstance(error, Unavailable)
                                     or (isinstance(error, Busy) and error.retry_after is not None))



class Outage:
    """Bridges a time without the daemon, for what goes on where it was: streams and waits.

    `limit`: seconds without any answer after which the failure is the caller's; `deadline`: monotonic seconds, or None.
    """

    def __init__(self, limit: float, deadline: Optional[float] = None) -> None:
        self._limit = limit
        self._deadline = deadline
        self._since: Optional[float] = None
        self._attempt_began = time.monotonic()
        self._backoff = Backoff()

    def over(self) -> None:
        """To be called when the daemon answered."""
        if self._since is not None:
            self._since = None
            self._backoff = Backoff()

    def timeout(self, at_most: float) -> float:
        """Seconds for the attempt that begins now: `at_most`, and not beyond the deadline."""
        self._attempt_began = time.monotonic()
        if self._deadline is None:
            return at_most
        return max(0.0, min(at_most, self._deadline - time.monotonic()))

    def wait_after(self, error: RpcFailed) -> Optional[float]:
        """Seconds to wait before going on; None if the failure is the caller's."""
        if error.code not in _INTERRUPTIONS and error.reason not in _NOTHING_DONE:
            return None
        now = time.monotonic()
        if now - self._attempt_began > _CONNECTED_SECONDS:
            self.over()
        if self._since is None:
            self._since = now
        wait = self._backoff.seconds(error.retry_after)
        end = self._since + self._limit if self._deadline is None else min(self._since + self._limit, self._deadline)
        return wait if now + wait < end else None
