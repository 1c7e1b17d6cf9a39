"""SandboxOperator in worker processes, with a real daemon: live lines, crashes of either side, kills."""

import os
import signal

import pytest
from conftest import FULL
from workers import Worker

from tests.harness.daemon import Daemon
from tests.harness.gate import Gate
from tests.harness.waiting import until


def tasks(daemon):
    """Oldest first, of the daemon that a test has for itself."""
    return list(reversed(daemon.client.list()))


@pytest.fixture
def own_daemon():
    with Daemon() as running:
        yield running.start()


def state_of(daemon, index=0):
    from boxkeeper.v1 import task_pb2

    return task_pb2.TaskState.Name(tasks(daemon)[index].state)[len("TASK_STATE_"):]


def test_lines_are_shown_while_the_command_runs(own_daemon, tmp_path):
    gate = Gate(str(tmp_path))
    with Worker(own_daemon, tmp_path, {"command": f"echo early; echo late >&2; {gate.wait}; echo last"}) as worker:
        worker.wait_for("early")
        worker.wait_for("late")
        assert state_of(own_daemon) == "RUNNING"
        gate.open()
        lines, end = worker.end()
    assert sorted(lines) == ["early", "last", "late"] and end == 'VALUE "last"'


for_full = pytest.mark.skipif(not FULL, reason="some seconds: for BOXKEEPER_FULL")


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=for_full)])
def test_no_line_is_lost_or_doubled_when_the_daemon_restarts(own_daemon, tmp_path, how):
    gate = Gate(str(tmp_path))
    part = "for i in $(seq {} {}); do echo line $i; done"
    command = f"{part.format(1, 500)}; {gate.wait}; {part.format(501, 1000)}; {gate.wait}; {part.format(1001, 1500)}"
    with Worker(own_daemon, tmp_path, {"command": command}) as worker:
        for last in (500, 1000):
            worker.wait_for(f"line {last}")
            own_daemon.kill(how)
            gate.open()
            own_daemon.start()
        lines, end = worker.end()
    assert lines == [f"line {i}" for i in range(1, 1501)] and end == 'VALUE "line 1500"'


def test_the_next_try_goes_on_with_the_sandbox_of_a_worker_that_was_killed(own_daemon, tmp_path):
    gate, file = Gate(str(tmp_path)), os.path.join(tmp_path, "runs")
    arguments = {"command": f"echo run >> {file}; echo before; {gate.wait}; echo after", "retries": 2}
    with Worker(own_daemon, tmp_path, arguments) as first:
        first.wait_for("before")
        first.kill()
    with Worker(own_daemon, tmp_path, arguments, try_number=2) as second:
        second.wait_for("before")
        gate.open()
        lines, end = second.end()
    assert (lines, end) == (["before", "after"], 'VALUE "after"'), "the log of the try that ends it is whole"
    assert open(file, encoding="utf-8").read() == "run\n" and len(tasks(own_daemon)) == 1


def test_the_next_try_takes_the_result_that_nobody_waited_for_unless_the_task_was_cleared(own_daemon, tmp_path):
    gate, file = Gate(str(tmp_path)), os.path.join(tmp_path, "runs")
    arguments = {"command": f"echo run >> {file}; echo before; {gate.wait}; echo after", "retries": 3}
    with Worker(own_daemon, tmp_path, arguments) as first:
        first.wait_for("before")
        first.kill()
    gate.open()
    until(lambda: state_of(own_daemon) == "SUCCEEDED", "the end of the command")
    with Worker(own_daemon, tmp_path, arguments, try_number=2) as second:
        assert second.end() == (["before", "after"], 'VALUE "after"')
    assert open(file, encoding="utf-8").read() == "run\n"
    gate.open()
    with Worker(own_daemon, tmp_path, arguments, try_number=3, max_tries=2 + 3) as third:  # cleared after the second try
        assert third.end() == (["before", "after"], 'VALUE "after"')
    assert open(file, encoding="utf-8").read() == "run\nrun\n" and len(tasks(own_daemon)) == 2


def test_a_sandbox_whose_worker_never_comes_back_ends_with_its_lease(own_daemon, tmp_path):
    arguments = {"command": "echo running; exec sleep 1000", "lease": 1}
    with Worker(own_daemon, tmp_path, arguments) as worker:
        worker.wait_for("running")
        worker.kill()
    until(lambda: state_of(own_daemon) == "CANCELLED", "the end of the lease")
    from boxkeeper.v1 import task_pb2

    assert tasks(own_daemon)[0].reason == task_pb2.REASON_CLIENT_LOST


@for_full
def test_the_lease_is_renewed_while_the_worker_lives(own_daemon, tmp_path):
    with Worker(own_daemon, tmp_path, {"command": "sleep 3; echo done", "lease": 1}) as worker:
        assert worker.end() == (["done"], 'VALUE "done"')


def test_sigterm_cancels_the_sandbox_at_once(own_daemon, tmp_path):
    marker = os.path.join(tmp_path, "asked")
    command = f"trap 'echo asked > {marker}; exit 1' TERM; echo running; while :; do sleep 0.05; done"
    with Worker(own_daemon, tmp_path, {"command": command, "retries": 0}) as worker:
        worker.wait_for("running")
        worker.kill(signal.SIGTERM)
        until(lambda: state_of(own_daemon) == "CANCELLED", "the end of the sandbox", 10)
        _, end = worker.end()
    assert os.path.exists(marker), "it was asked before it was killed"
    assert end.startswith("FAILED SandboxFailed it was cancelled (") and "airflow: the task was killed" in end


@for_full
def test_a_worker_killed_before_the_daemon_was_there_submits_nothing_twice(own_daemon, tmp_path):
    """Its answer is lost: the daemon dies with the submission in flight, the client repeats it to the next one."""
    own_daemon.kill()
    with Worker(own_daemon, tmp_path, {"command": "echo once"}) as worker:
        worker.wait_until_ready()
        own_daemon.start()
        assert worker.end() == (["once"], 'VALUE "once"')
    assert len(tasks(own_daemon)) == 1
