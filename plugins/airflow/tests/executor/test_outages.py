"""SandboxExecutor when the daemon, the relay or the scheduler is away: nothing is lost, nothing runs twice, nothing blocks."""

import json
import os
import signal
import subprocess
import sys

import pytest
from executor_stand import address, gone, instance, make_workload
from tests.harness.daemon import Daemon
from tests.harness.stubs import ROOT, executor_pb2
from tests.harness.waiting import SLOWNESS, until

_BEAT_MAX = 1.0 * SLOWNESS  # seconds


@pytest.mark.everyday
def test_tasks_survive_a_daemon_that_is_killed(stand, daemon):
    executor = stand.executor(address(daemon))
    items = [make_workload(f"wait_{name}") for name in "abc"]
    stand.queue(executor, *items)
    for name in "abc":
        stand.started(executor, f"wait_{name}")
    daemon.kill()
    stand.beat_until(executor, lambda: executor.slots_available == 0, "no slots while nobody answers")
    late = make_workload("ok")
    stand.queue(executor, late)
    assert max(stand.beat(executor) for _ in range(5)) < _BEAT_MAX
    for name in "abc":
        stand.go(f"wait_{name}")
    daemon.start()
    stand.beat_until(executor, lambda: len(stand.ends()) == 4, "four ends")
    assert {state for _, state, _ in stand.ends()} == {"success"} and len(stand.runs()) == 4
    assert executor.slots_available == 32


def test_a_daemon_that_is_down_at_the_start_delays_tasks(stand):
    with Daemon() as daemon:
        executor = stand.executor(address(daemon))
        item = make_workload("ok")
        stand.queue(executor, item)
        assert stand.beat(executor) < _BEAT_MAX
        stand.beat_until(executor, lambda: executor._courier.reachable is False, "nobody answers")
        assert executor.has_task(item.ti) and not stand.ends()
        daemon.start()
        assert stand.end_of(executor, item) == ("success", None)
    assert len(stand.runs()) == 1


def test_a_relay_that_is_killed_is_replaced(stand, daemon):
    executor = stand.executor(address(daemon))
    item = make_workload("wait_it")
    stand.queue(executor, item)
    stand.started(executor, "wait_it")
    relay = executor._courier._link.pid
    os.kill(relay, signal.SIGKILL)
    stand.beat_until(executor, lambda: executor._courier._link.pid not in (None, relay), "another relay")
    stand.go("wait_it")
    more = make_workload("ok")
    stand.queue(executor, more)
    assert stand.end_of(executor, item) == ("success", None) and stand.end_of(executor, more) == ("success", None)
    assert len(stand.runs()) == 2


def test_a_daemon_that_comes_back_with_a_new_store_is_heard(stand, daemon):
    executor = stand.executor(address(daemon))
    first, second = make_workload("ok", map_index=1), make_workload("ok", map_index=2)
    stand.queue(executor, first)
    assert stand.end_of(executor, first) == ("success", None)
    stand.beat_for(executor, 0.3)
    daemon.terminate()
    daemon.configure({"state_dir": os.path.join(daemon.folder, "new")})
    daemon.start()
    stand.queue(executor, second)
    assert stand.end_of(executor, second) == ("success", None)


def test_a_full_queue_delays_tasks(stand):
    with Daemon({"scheduling": {"max_running": 1, "max_queued": 1}}) as daemon:
        executor = stand.executor(address(daemon.start()))
        items = [make_workload("ok", map_index=index) for index in range(5)]
        stand.queue(executor, *items)
        stand.beat_until(executor, lambda: len(stand.ends()) == 5, "five ends", 60)
        assert {state for _, state, _ in stand.ends()} == {"success"} and len(stand.runs()) == 5


def test_slots_follow_what_the_daemon_has_room_for(stand):
    with Daemon({"scheduling": {"max_running": 3}}) as daemon:
        daemon.start()
        first, second = stand.executor(address(daemon), job_id=1), stand.executor(address(daemon), job_id=2)
        for executor in (first, second):
            stand.beat_until(executor, lambda: executor.slots_available == 3, "three slots")
        stand.queue(first, make_workload("wait_a"))
        stand.started(first, "wait_a")
        assert first.slots_available == 2
        stand.beat_until(second, lambda: second.slots_available == 2, "the other's task takes a slot")
        daemon.client.call(daemon.client.admin.Drain, _drain())
        stand.beat_until(second, lambda: second.slots_available == 0, "none while it drains")
        stand.go("wait_a")


def _drain():
    from tests.harness.stubs import admin_pb2

    return admin_pb2.DrainRequest()


def test_end_leaves_quickly_and_tasks_run_on(stand, daemon):
    executor = stand.executor(address(daemon))
    item = make_workload("wait_it")
    stand.queue(executor, item)
    pid, relay = stand.started(executor, "wait_it"), executor._courier._link.pid
    executor.end()
    assert gone(relay) and not gone(pid)
    stand.go("wait_it")


def test_end_acknowledges_what_was_told(stand, daemon):
    executor = stand.executor(address(daemon))
    item = make_workload("ok")
    stand.queue(executor, item)
    stand.end_of(executor, item)
    (task,) = daemon.client.list()
    daemon.client.wait(task.id, executor_pb2.WaitTaskRequest.LOG_COMPLETE)
    stand.beat_until(executor, lambda: not executor._courier._news and not executor._cursor, "all is told")
    last = list(daemon.client.events("", cursor=""))[-1].cursor
    executor._cursor = last  # as if the last event had come with the last turn
    executor.end()
    assert not list(daemon.client.events(task.owner))


def test_a_forked_child_does_not_keep_the_relay(stand, daemon):
    executor = stand.executor(address(daemon))
    stand.beat_until(executor, lambda: executor._courier.reachable, "the daemon answers")
    relay = executor._courier._link.pid
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    try:
        executor.end()
        assert gone(relay)
    finally:
        os.close(write)
        os.close(read)
        os.waitpid(child, 0)


def test_a_dag_folder_on_the_path_does_not_hide_the_standard_library(stand, daemon, tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise RuntimeError('a module of somebody's DAGs')", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    executor = stand.executor(address(daemon))
    stand.beat_until(executor, lambda: executor._courier.reachable, "the daemon answers")


_FORKER = """
import os, signal, sys, threading
sys.path[:0] = {paths!r}
from boxkeeper.airflow.executors.courier import Courier
courier = Courier({{"address": {address!r}}}, "airflow:test:forks", capacity_interval=0.01)
courier.start()
pause = threading.Event()
while courier.reachable is None:
    pause.wait(0.01)
codes = []
for _ in range(10):
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # one that hangs dies of it
        from boxkeeper.client import Client, ConnectionSettings
        with Client(ConnectionSettings(address={address!r})) as client:
            client.get_capacity()
        os._exit(0)
    codes.append(os.waitpid(child, 0)[1])
assert "grpc" not in sys.modules
courier.stop()
print(codes)
"""


def test_children_of_the_scheduler_can_speak_grpc(daemon):
    """LocalExecutor forks the scheduler; what its tasks call may be gRPC. See docs/adr/0017."""
    source = os.path.join(ROOT, "plugins", "airflow", "src")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", _FORKER.format(paths=[source], address=address(daemon))],
                          capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0 and done.stdout.strip() == str([0] * 10), done.stderr


_SCHEDULER = """
import sys, threading
sys.path[:0] = {paths!r}
from boxkeeper.airflow.executors.courier import Courier
courier = Courier({{"address": {address!r}}}, "airflow:test:killed")
courier.start()
pause = threading.Event()
while courier.reachable is None:
    pause.wait(0.01)
print(courier._link.pid, flush=True)
pause.wait(600)
"""


def test_the_relay_of_a_scheduler_that_is_killed_leaves(daemon):
    source = os.path.join(ROOT, "plugins", "airflow", "src")
    scheduler = subprocess.Popen([sys.executable, "-c", _SCHEDULER.format(paths=[source], address=address(daemon))],
                                 stdout=subprocess.PIPE, text=True)
    with scheduler:
        relay = int(scheduler.stdout.readline())
        assert not gone(relay)
        scheduler.kill()
    until(lambda: gone(relay), "the relay leaves")


def test_the_live_log_is_what_the_store_has_not_yet(stand):
    with Daemon({"logs": {"flush_interval": "1h", "flush_interval_max": "1h"}}) as daemon:
        executor = stand.executor(address(daemon.start()))
        item = make_workload("wait_it")
        stand.queue(executor, item)
        stand.started(executor, "wait_it")
        reader = stand.executor(address(daemon), start=False)
        messages, logs = until(lambda: (lambda found: found[1] and found)(stand.task_log(reader, address(daemon), instance(item), 1)), "a line")
        (text,) = logs
        (record,) = [json.loads(line) for line in text.splitlines()]
        assert record["event"] == "hello from wait_it" and len(messages) == 1
        stand.go("wait_it")
        assert stand.end_of(executor, item) == ("success", None)
        until(lambda: daemon.client.list()[0].log.complete, "the log is stored")
        assert stand.task_log(reader, address(daemon), instance(item), 1)[1] == []


def test_the_live_log_names_the_task_and_an_error_is_a_message(stand, daemon):
    executor = stand.executor(address(daemon))
    item = make_workload("wait_it")
    stand.queue(executor, item)
    stand.started(executor, "wait_it")
    (task,) = daemon.client.list()
    reader = stand.executor(address(daemon), start=False)
    messages, _ = stand.task_log(reader, address(daemon), instance(item), 1)
    assert task.id in messages[0] and "RUNNING" in messages[0] and task.log.layout == "airflow"
    messages, logs = stand.task_log(reader, "unix:/no/such/socket", instance(item), 1)
    assert len(messages) == 1 and "cannot be read" in messages[0] and logs == []
    messages, logs = stand.task_log(reader, address(daemon), instance(item), 7)
    assert "does not know" in messages[0] and logs == []
    stand.go("wait_it")
