"""Tasks that eat what they can are gone, with all they made, soon after their deadline, and keep within their limits."""

import concurrent.futures
import os
import time
import uuid

import pytest

from tests.harness import bombs, processes
from tests.harness.client import end, spec
from tests.harness.daemon import Daemon
from tests.harness.waiting import SLOWNESS, until

GONE_WITHIN_SECONDS = 5


@pytest.fixture(scope="module")
def box(needs_bubblewrap):
    with Daemon({"providers": {"local": {"isolation": "bubblewrap"}}}) as daemon:
        yield daemon.start()


@pytest.mark.parametrize("kind", bombs.BOMBS)
def test_a_bomb_is_gone_soon_after_its_deadline(box, kind):
    task, mark = bombs.make(kind)
    identity = box.client.submit(task)
    box.client.wait_running(identity)
    started = time.monotonic()
    ended = box.client.wait(identity)
    took = time.monotonic() - started
    assert end(ended)[1] in {"RUN_TIMEOUT", "OOM"}, (end(ended), ended.message)
    assert took < (2 + GONE_WITHIN_SECONDS) * SLOWNESS
    assert bombs.living(mark) == []
    assert box.client.run(spec(argv=["true"])).exit_code == 0


def test_what_a_task_leaves_in_the_background_does_not_outlive_it(box):
    mark = f"left-{uuid.uuid4().hex}"
    daemonised = f"(setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done' {mark} </dev/null >/dev/null 2>&1 &); exit 7"
    ended = box.client.run(spec(shell=daemonised))
    assert end(ended)[:3] == ("FAILED", "EXIT_CODE", 7)
    assert bombs.living(mark) == []


def test_neighbours_of_a_fork_bomb_go_on(box):
    """How much slower they become is measured by bench/driver/neighbours.py."""
    task, mark = bombs.make("fork", timeout="300s")
    identity = box.client.submit(task)
    box.client.wait_running(identity)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(lambda _: end(box.client.run(spec(argv=["true"])))[0], range(50)))
    assert ends == ["SUCCEEDED"] * 50
    box.client.cancel(identity, force=True)
    box.client.wait(identity)
    assert bombs.living(mark) == []


def test_zombies_do_not_pile_up_outside(box):
    task, _ = bombs.make("zombies")
    identity = box.client.submit(task)
    box.client.wait(identity)
    launcher = box.launcher_pid()
    until(lambda: not [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
                       if processes.state(pid) == "Z" and processes.parent(pid) == launcher], "boxlaunch reaped all")
