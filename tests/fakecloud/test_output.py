"""Output of a remote provider, from FakeCloud's sandboxes to ReadLog and the log store, whatever goes wrong on the way."""

import os
import random
import signal
import threading

import pytest

from tests.harness.client import end, spec, state_name
from tests.harness.daemon import Daemon
from tests.harness.fakecloud import DAEMON, FakeCloud
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import until

_FULL = bool(os.environ.get("BOXKEEPER_FULL"))
_ROUNDS = 10 if _FULL else 4
_TASKS = 20 if _FULL else 6
_SUCCEEDED = ("SUCCEEDED", "EXIT_CODE", 0, None)

# Every way in which an answer to a read goes wrong, and a List that repeats itself.
_FAULTS = """
duplicate_row: 0.2
duplicate_page: 0.2
hint_lost: 0.5
faults:
  - {verbs: [read_output], fault: latency, min: 0ms, max: 20ms, tail: 0.05, tail_max: 300ms}
  - {verbs: [read_output], fault: cut, probability: 0.15}
  - {verbs: [read_output], fault: lost, probability: 0.1}
  - {verbs: [read_output], fault: html, probability: 0.05}
  - {verbs: [read_output], fault: status, status: 503, probability: 0.1}
  - {verbs: [read_output], fault: hang, probability: 0.02}
  - {verbs: [inspect, list], fault: status, status: 500, probability: 0.1}
"""


def _printed(size):
    """What FakeCloud's sandboxes print: byte i of any stream is the same everywhere."""
    line = bytes(ord("a") + i % 26 for i in range(79)) + b"\n"
    return (line * (size // 80 + 1))[:size]


@pytest.fixture
def world(request, tmp_path):
    """(cloud, daemon on it); two-step unless a test asks for one_step."""
    one_step = getattr(request, "param", "two_step") == "one_step"
    with FakeCloud(str(tmp_path), arguments=["--one_step"] if one_step else []) as cloud:
        section = cloud.provider(one_step=one_step, create_settle="3s", call_timeout="1s")
        config = {"providers": {"local": None, "cloud": section}, "default_provider": "cloud",
                  "scheduling": {"retry_backoff": {"initial": "50ms", "max": "500ms"}}}
        with Daemon(config) as daemon:
            daemon.program = DAEMON
            yield cloud, daemon.start()


def _submit(daemon, words):
    return daemon.client.submit(spec(argv=["sim", *words.split()]))


def _complete(daemon, ids):
    return daemon.client.wait_all(ids, executor_pb2.WaitTaskRequest.LOG_COMPLETE, seconds=120)


def _judge(daemon, task, stdout, stderr):
    assert (task.log.incomplete, task.log.stdout_bytes, task.log.stderr_bytes) == ("", stdout, stderr)
    assert daemon.client.log(task.id) == _printed(stdout)
    assert daemon.client.log(task.id, "STDERR") == _printed(stderr)
    assert daemon.stored_log(task) == _printed(stdout)
    assert daemon.stored_log(task, "stderr") == _printed(stderr)


@pytest.mark.parametrize("world", ["two_step", "one_step"], indirect=True)
def test_a_follower_sees_it_while_the_task_runs_and_all_of_it(world):
    _, daemon = world
    task_id = _submit(daemon, "run=6s out=6000 err=80")
    seen, live = b"", 0
    for piece in daemon.client.log_pieces(task_id, follow=True):
        seen += piece.data
        if piece.data and state_name(daemon.client.get(task_id).state) == "RUNNING":
            live += 1
    assert live >= 3
    assert seen == _printed(6000)
    _judge(daemon, _complete(daemon, [task_id])[0], 6000, 80)


@pytest.mark.parametrize("world", ["two_step", "one_step"], indirect=True)
def test_every_byte_arrives_once_under_faults_and_kills(world):
    cloud, daemon = world
    chance = random.Random(5)
    cloud.script(_FAULTS)
    sizes = {}
    for _ in range(_TASKS):
        stdout, stderr = chance.randint(1, 400_000), chance.randint(1, 2_000)
        sizes[_submit(daemon, f"run={chance.randint(0, 4000)}ms out={stdout} err={stderr}")] = (stdout, stderr)
    for _ in range(_ROUNDS):
        threading.Event().wait(0.3 + chance.random())  # a random moment is what is tested
        daemon.kill(signal.SIGKILL)
        daemon.start()
    tasks = _complete(daemon, list(sizes))
    cloud.script("")
    for task in tasks:
        assert end(task) == _SUCCEEDED
        _judge(daemon, task, *sizes[task.id])
    assert set(cloud.executions().values()) == {1}
    until(lambda: not cloud.living(), "every sandbox destroyed", 60)


def test_the_end_is_told_and_the_sandbox_destroyed_only_when_the_output_is_here(world):
    cloud, daemon = world
    cloud.script("faults: [{verbs: [read_output], fault: status, status: 503, probability: 1}]")
    task_id = _submit(daemon, "run=500ms out=3000 err=80")
    until(lambda: cloud.counts()["calls"].get("read_output", 0) >= 8, "reads fail after the end", 20)
    assert state_name(daemon.client.get(task_id).state) in ("STARTING", "RUNNING")
    assert cloud.living()
    daemon.kill(signal.SIGKILL)
    daemon.start()
    cloud.script("")
    task = _complete(daemon, [task_id])[0]
    assert end(task) == _SUCCEEDED
    _judge(daemon, task, 3000, 80)


def test_of_a_sandbox_that_vanished_what_was_fetched_is_the_log(world):
    cloud, daemon = world
    task_id = _submit(daemon, "run=1h out=3600000")
    until(lambda: len(daemon.client.log(task_id)) > 2000, "output")
    cloud.vanish(next(iter(cloud.living())))
    task = _complete(daemon, [task_id])[0]
    assert end(task)[:2] == ("LOST", "SANDBOX_LOST")
    assert task.log.incomplete
    assert task.log.stdout_bytes > 2000
    assert daemon.client.log(task_id) == _printed(task.log.stdout_bytes) == daemon.stored_log(task)
