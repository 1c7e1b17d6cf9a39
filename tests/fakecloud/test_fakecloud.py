"""The real daemon, in a build that knows FakeCloud, against FakeCloud as a process."""

import signal

import pytest

from tests.harness.client import end, spec
from tests.harness.daemon import Daemon
from tests.harness.fakecloud import DAEMON, FakeCloud
from tests.harness.waiting import until

_MODERATE = """
rate_limit: {per_second: 200, retry_after: 1s}
create_list_lag: 500ms
delete_list_lag: 500ms
duplicate_row: 0.1
duplicate_page: 0.1
hint_lost: 0.3
page_size: 5
unknown_state: 0.02
faults:
  - {verbs: all, fault: latency, min: 0ms, max: 20ms, tail: 0.05, tail_max: 200ms}
  - {verbs: all, fault: status, status: 503, probability: 0.05}
  - {verbs: all, fault: lost, probability: 0.03}
  - {verbs: [find, list, inspect], fault: html, probability: 0.03}
  - {verbs: [find, list, inspect, destroy, fence], fault: hang, probability: 0.01}
"""


@pytest.fixture
def world(tmp_path):
    with FakeCloud(str(tmp_path)) as cloud, Daemon(_config(cloud)) as daemon:
        daemon.program = DAEMON
        yield cloud, daemon.start()


def _config(cloud):
    section = cloud.provider(list_lag="1s", call_timeout="2s")
    return {"providers": {"local": None, "cloud": section}, "default_provider": "cloud",
            "scheduling": {"create_timeout": "5s", "start_timeout": "5s", "orphan_grace": "1s",
                           "retry_backoff": {"initial": "50ms", "max": "1s"}}}


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


def test_kills_and_faults_leave_one_execution_each_and_no_sandbox(world):
    cloud, daemon = world
    cloud.script(_MODERATE)
    ids = []
    for _ in range(5):
        ids += [daemon.client.submit(_sim(f"run={10 * n}ms")) for n in range(8)]
        daemon.kill(signal.SIGKILL)
        daemon.start()
    cloud.script("")
    ends = [end(daemon.client.wait(one, seconds=120)) for one in ids]
    assert all(count == 1 for count in cloud.executions().values())
    for one, how in zip(ids, ends, strict=True):
        ran = one in cloud.executions()
        assert ran or how[0] != "SUCCEEDED", f"{one} succeeded without user code"
    assert sum(how[0] == "SUCCEEDED" for how in ends) >= len(ids) // 2, ends
    _all_gone(cloud)


def test_the_cloud_outlives_nobody_but_its_audit_does(tmp_path):
    with FakeCloud(str(tmp_path)) as cloud:
        cloud.script("capacity: 3")
        assert cloud.counts()["calls"] == {}
        cloud.close(signal.SIGKILL)
        assert cloud.audit() == []
