"""The real daemon, in a build that knows FakeCloud, against FakeCloud as a process."""

import os
import random
import signal
import threading

import pytest

from tests.harness.client import end, spec
from tests.harness.daemon import Daemon
from tests.harness.fakecloud import DAEMON, FakeCloud
from tests.harness.stubs import executor_pb2, task_pb2
from tests.harness.waiting import until

_SCRIPTS = ("", """
rate_limit: {per_second: 100, retry_after: 1s}
create_list_lag: 500ms
delete_list_lag: 500ms
duplicate_row: 0.1
duplicate_page: 0.1
hint_lost: 0.5
page_size: 5
unknown_state: 0.05
faults:
  - {verbs: all, fault: latency, min: 0ms, max: 20ms, tail: 0.05, tail_max: 500ms}
  - {verbs: all, fault: status, status: 503, probability: 0.1}
  - {verbs: all, fault: lost, probability: 0.1}
  - {verbs: all, fault: cut, probability: 0.05}
  - {verbs: all, fault: html, probability: 0.05}
  - {verbs: all, fault: hang, probability: 0.03}
""", """
faults:
  - {verbs: [create, start], fault: lost, probability: 0.5}
  - {verbs: [destroy, signal, fence], fault: status, status: 500, effect: 0.5, probability: 0.5}
""", """
capacity: 3
faults:
  - {verbs: all, fault: garbage, probability: 0.1}
  - {verbs: all, fault: drip, probability: 0.02}
  - {verbs: [create], fault: status, status: 429, probability: 0.2}
""")
_SEEDS = range(1, 11) if os.environ.get("BOXKEEPER_FULL") else (1,)
_ROUNDS = 8 if os.environ.get("BOXKEEPER_FULL") else 4


@pytest.fixture
def world(request, tmp_path):
    """(cloud, daemon on it); two-step unless a test asks for one_step."""
    one_step = getattr(request, "param", "two_step") == "one_step"
    with FakeCloud(str(tmp_path), arguments=["--one_step"] if one_step else []) as cloud, Daemon(_config(cloud, one_step)) as daemon:
        daemon.program = DAEMON
        yield cloud, daemon.start()


def _config(cloud, one_step):
    section = cloud.provider(one_step=one_step, list_lag="1s", create_settle="3s", call_timeout="1s")
    return {"providers": {"local": None, "cloud": section}, "default_provider": "cloud",
            "scheduling": {"create_timeout": "3s", "start_timeout": "3s", "orphan_grace": "1s", "cancel_grace": "500ms",
                           "retry_backoff": {"initial": "50ms", "max": "500ms"}}}


def _sim(words, **fields):
    return spec(argv=["sim", *words.split()], **fields)


def _all_gone(cloud):
    until(lambda: not cloud.living(), "every sandbox destroyed", 60)


def test_tasks_run_there_and_their_sandboxes_go(world):
    cloud, daemon = world
    ids = [daemon.client.submit(_sim(f"run=100ms exit={code}")) for code in (0, 3)]
    ids.append(daemon.client.submit(_sim("run=10ms signal=9")))
    ends = [end(daemon.client.wait(one))[:2] for one in ids]
    assert ends == [("SUCCEEDED", "EXIT_CODE"), ("FAILED", "EXIT_CODE"), ("FAILED", "SIGNAL")]
    assert set(cloud.executions().values()) == {1} and len(cloud.executions()) == 3
    _all_gone(cloud)


def test_a_sandbox_that_vanishes_is_lost(world):
    cloud, daemon = world
    task = daemon.client.submit(_sim("run=1h"))
    until(lambda: cloud.executions(), "user code", 30)
    cloud.vanish(next(iter(cloud.living())))
    assert end(daemon.client.wait(task))[:2] == ("LOST", "SANDBOX_LOST")


def _judge(cloud, submitted, tasks):
    """What is wrong with how the tasks ended, by what really happened. `submitted`: exit codes by id."""
    executions = cloud.executions()
    wrong = [f"{one} ran {count} times" for one, count in executions.items() if count > 1]
    for task in tasks:
        state, reason, exit_code, _ = end(task)
        code, ran = submitted[task.id], task.id in executions
        if state == "SUCCEEDED" and (not ran or code != 0):
            wrong.append(f"{task.id} succeeded; it {'ran' if ran else 'never ran'}, its code was {code}")
        if reason == "EXIT_CODE" and exit_code != code:
            wrong.append(f"{task.id}: exit code {exit_code}, was {code}")
        if ran and task.user_code_started == task_pb2.USER_CODE_STARTED_NO:
            wrong.append(f"{task.id} ran, and is said not to have")
    return wrong


@pytest.mark.parametrize("seed", _SEEDS)
@pytest.mark.parametrize("world", ["two_step", "one_step"], indirect=True)
def test_kills_under_faults_leave_one_execution_each_and_no_sandbox(world, seed):
    cloud, daemon = world
    chance, submitted = random.Random(seed), {}
    for _ in range(_ROUNDS):
        cloud.script(chance.choice(_SCRIPTS))
        for _ in range(10):
            code = chance.choice((0, 0, 0, 3))
            submitted[daemon.client.submit(_sim(f"run={chance.randint(0, 800)}ms exit={code}"))] = code
        if chance.random() < 0.3:
            victim = executor_pb2.TaskRef(id=chance.choice(list(submitted)))
            daemon.client.call(daemon.client.executor.CancelTasks, executor_pb2.CancelTasksRequest(tasks=[victim]))
        # A random moment is what is tested.
        threading.Event().wait(chance.random() * 0.8)
        daemon.kill(signal.SIGKILL)
        daemon.start()
    cloud.script("")
    tasks = daemon.client.wait_all(list(submitted), seconds=180)
    assert _judge(cloud, submitted, tasks) == []
    _all_gone(cloud)


def test_the_cloud_outlives_nobody_but_its_audit_does(tmp_path):
    with FakeCloud(str(tmp_path)) as cloud:
        cloud.script("capacity: 3")
        assert cloud.counts()["calls"] == {}
        cloud.close(signal.SIGKILL)
        assert cloud.audit() == []
