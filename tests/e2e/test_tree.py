"""A task's whole process tree ends with it; its neighbours do not notice."""

import os
import signal

import pytest

from tests.harness import processes
from tests.harness.client import end, forever, spec
from tests.harness.waiting import SLOWNESS, until

# Children in sessions of their own, twice forked, that ignore TERM; $MARK in the environment tells them apart.
_ESCAPE = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            open(os.environ["MARK"] + "." + str(os.getpid()), "w").close()
            while True:
                signal.pause()
        os._exit(0)
for _ in range(3):
    os.wait()
open(os.environ["MARK"], "w").close()
while True:
    signal.pause()
"""


def _members(mark):
    return {pid for pid in processes.of_folder(mark) if processes.arguments(pid)[:1] != [""]}


def _start_escaper(daemon, name, **override):
    mark = os.path.join(daemon.folder, name)
    task_id = daemon.client.submit(spec(python=_ESCAPE, override={"env": {"MARK": mark}, **override}))
    until(lambda: os.path.exists(mark), "children are there")
    until(lambda: len([f for f in os.listdir(daemon.folder) if f.startswith(name + ".")]) == 3, "grandchildren are there")
    return task_id, mark


def test_a_tree_that_ignores_term_is_gone_within_5_s_of_its_deadline(daemon):
    client = daemon.client
    neighbours = [client.submit(spec(argv=forever())) for _ in range(3)]
    for task_id in neighbours:
        client.wait_running(task_id)
    task_id, mark = _start_escaper(daemon, "escaper", timeout="2s", grace="1s")
    assert _members(mark)
    task = client.wait(task_id)
    assert end(task)[:2] == ("FAILED", "RUN_TIMEOUT")
    assert not _members(mark)
    assert task.ended_at.ToNanoseconds() - task.started_at.ToNanoseconds() < (2 + 5) * 1e9 * SLOWNESS
    assert all(end(client.get(n))[0] == "RUNNING" for n in neighbours)
    client.cancel(*neighbours)
    assert all(end(t)[0] == "CANCELLED" for t in client.wait_all(neighbours))


def test_children_that_outlive_the_command_are_removed_with_it(daemon):
    mark = os.path.join(daemon.folder, "left")
    task = daemon.client.run(spec(shell="setsid tail -f /dev/null > /dev/null 2>&1 & exit 0", override={"env": {"MARK": mark}}))
    assert end(task) == ("SUCCEEDED", "EXIT_CODE", 0, None)
    until(lambda: not _members(mark), "the child is gone", 5)


@pytest.mark.parametrize("force", [False, True])
def test_cancel_removes_the_whole_tree(daemon, force):
    task_id, mark = _start_escaper(daemon, "cancelled", grace="500ms")
    daemon.client.cancel(task_id, force=force)
    assert end(daemon.client.wait(task_id, seconds=20))[0] == "CANCELLED"
    assert not _members(mark)


def _supervisor_of(task_id, daemon, mark):
    """The process between boxlaunch and the command: the parent of the oldest process that has the mark."""
    launcher = daemon.launcher_pid()
    for pid in sorted(_members(mark)):
        above = processes.parent(pid)
        if above != launcher and processes.parent(above) == launcher:
            return above
    raise AssertionError(f"no supervisor of {task_id}")


def test_a_supervisor_that_dies_takes_its_tree_along_and_the_task_is_lost(daemon):
    task_id, mark = _start_escaper(daemon, "orphaned")
    os.kill(_supervisor_of(task_id, daemon, mark), signal.SIGKILL)
    task = daemon.client.wait(task_id)
    assert end(task)[:2] == ("LOST", "SANDBOX_LOST")
    until(lambda: not _members(mark), "the tree is gone", 5)
