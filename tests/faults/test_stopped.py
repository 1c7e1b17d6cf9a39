"""SIGSTOP: a process that stands still for a while is neither gone nor a reason to start anything twice."""

import contextlib
import os
import signal
import threading

import pytest

from tests.faults.world import World
from tests.harness import processes
from tests.harness.client import state_name
from tests.harness.waiting import until

SECONDS = 60 if os.environ.get("BOXKEEPER_FULL") else 3
# So that a launcher that stands still is noticed as one that does not answer.
_CONFIG = {"providers": {"local": {"type": "local", "isolation": "none", "call_timeout": "1s"}}, "scheduling": {"start_timeout": "2s"}}


def _victims(daemon, which):
    if which == "daemon":
        return [daemon.process.pid]
    if which == "launcher":
        return [daemon.launcher_pid()]
    if which == "supervisors":
        return daemon.supervisor_pids()
    return [daemon.process.pid, daemon.launcher_pid(), *daemon.supervisor_pids()]


@pytest.mark.parametrize("which", ["daemon", "launcher", "supervisors", "everything"])
def test_what_was_stopped_goes_on_and_nothing_was_lost_or_done_twice(which):
    with World(_CONFIG) as world:
        gate = world.gate()
        world.start()
        world.submit("first", "echo first", [("SUCCEEDED", "EXIT_CODE", 0, None)], b"first\n")
        # Ends while the daemon stands still; runs on; runs over its timeout.
        world.submit("meanwhile", f"{gate.wait}; echo done; exit 3", [("FAILED", "EXIT_CODE", 3, None)], b"done\n")
        lasting = world.gate("lasting")
        on = world.submit("on", f"{lasting.wait}; exit 5", [("FAILED", "EXIT_CODE", 5, None)], b"")
        for name in ("first", "meanwhile", "on"):
            world.wait_ran(name)
        timed = world.submit("timed", "exec tail -f /dev/null", [("FAILED", "RUN_TIMEOUT", None, 15)], override={"timeout": "2s", "grace": "1s"})
        world.wait_ran("timed")
        for task in (on, timed):
            world.client.wait_running(task.id)
        # On its way when everything stops.
        starting = threading.Thread(target=lambda: world.submit("starting", "exit 6", [("FAILED", "EXIT_CODE", 6, None)], b""))
        starting.start()
        victims = _victims(world.daemon, which)
        for pid in victims:
            os.kill(pid, signal.SIGSTOP)
        until(lambda: all(processes.state(pid) == "T" for pid in victims), "they stand still")
        gate.open()
        threading.Event().wait(SECONDS)  # the fault itself: it lasts this long
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):  # somebody else has continued it, and it has ended
                os.kill(pid, signal.SIGCONT)
        starting.join(120)
        assert state_name(world.client.wait_running(on.id).state) == "RUNNING"
        lasting.open()
        world.judge()
        assert world.keeper.kills == 0
