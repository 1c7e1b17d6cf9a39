"""What this machine can do; tests that need more skip by name."""

import functools

import pytest

from tests.harness.daemon import Daemon
from tests.harness.stubs import admin_pb2


@functools.lru_cache(maxsize=None)
def why_no_bubblewrap():
    """Why the host cannot isolate by bubblewrap, in the daemon's words; None where it can."""
    with Daemon({"providers": {"local": {"isolation": "bubblewrap"}}}) as daemon:
        daemon.start()
        warnings = daemon.client.call(daemon.client.admin.GetStatus, admin_pb2.GetStatusRequest()).warnings
        return next((warning for warning in warnings if "'bubblewrap' cannot be had on this host" in warning), None)


def need_bubblewrap():
    why = why_no_bubblewrap()
    if why is not None:
        pytest.skip(why)
