"""Waiting for conditions with a deadline. Nothing in these tests waits a fixed time."""

import os
import threading
import time

# Sanitized programs are several times slower; every deadline here scales.
SLOWNESS = 4 if os.environ.get("BOXKEEPER_SANITIZED") else 1
_POLL_SECONDS = 0.02


def until(condition, what, seconds=30, poll_seconds=_POLL_SECONDS):
    """Calls `condition` until it returns something true and returns that; fails, naming `what`, after `seconds`."""
    deadline = time.monotonic() + seconds * SLOWNESS
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds * SLOWNESS} s: {what}; last answer: {value!r}")
        pause.wait(poll_seconds)
