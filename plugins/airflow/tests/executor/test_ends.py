"""SandboxExecutor with a real daemon: what is handed over runs, and how it ended is told once."""

import os
import subprocess

import pytest
from airflow.executors import workloads
from executor_stand import address, gone, make_workload
from tests.harness import processes
from tests.harness.client import end
from tests.harness.daemon import Daemon


def test_a_task_runs_and_its_success_is_told_once(stand, daemon):
    executor = stand.executor(address(daemon))
    item = make_workload("ok")
    stand.queue(executor, item)
    assert stand.end_of(executor, item) == ("success", None)
    stand.beat_for(executor, 0.3)
    assert len(stand.ends()) == 1 and executor.running == set() and len(stand.runs()) == 1
    (key, _, task_id), = [event for event in stand.events if event[1] == "queued"]
    assert key == item.ti.key and daemon.client.get(task_id).key.name == "ok"


@pytest.mark.everyday
def test_a_failure_says_why(stand, daemon):
    executor = stand.executor(address(daemon))
    item = make_workload("exit_3")
    stand.queue(executor, item)
    state, info = stand.end_of(executor, item)
    assert state == "failed" and "EXIT_CODE" in info and "exit code 3" in info
    (entry,) = executor._task_event_logs
    assert entry.event == "sandbox failed" and entry.task_id == "exit_3" and "EXIT_CODE" in entry.extra


@pytest.mark.everyday
def test_a_batch_of_mapped_tasks_runs_each_once(stand, daemon):
    executor = stand.executor(address(daemon))
    items = [make_workload("ok", map_index=index) for index in range(20)]
    stand.queue(executor, *items)
    stand.beat_until(executor, lambda: len(stand.ends()) == 20, "20 ends", 60)
    assert {state for _, state, _ in stand.ends()} == {"success"}
    assert sorted(int(run[1]) for run in stand.runs()) == list(range(20))


@pytest.mark.everyday
def test_tasks_of_one_working_directory_run_their_own_workloads(stand, daemon):
    executor = stand.executor(address(daemon))
    items = [make_workload("ok", map_index=index, config={"sandbox_override": {"workdir": stand.folder}}) for index in range(20)]
    stand.queue(executor, *items)
    stand.beat_until(executor, lambda: len(stand.ends()) == 20, "20 ends", 60)
    assert {state for _, state, _ in stand.ends()} == {"success"}
    assert sorted(int(run[1]) for run in stand.runs()) == list(range(20))
    assert not [name for name in os.listdir(stand.folder) if "workload" in name]


def test_an_override_that_cannot_be_fails_with_every_mistake_and_runs_nothing(stand, daemon):
    executor = stand.executor(address(daemon))
    wrong = make_workload("ok", config={"sandbox_override": {"imgae": "x", "memory_mb": "much", "start_deadline": "now"}, "more": 1})
    refused = make_workload("ok", map_index=1, config={"sandbox_override": {"provider": "nowhere", "timeout": "soon"}})
    stand.queue(executor, wrong, refused)
    state, info = stand.end_of(executor, wrong)
    assert state == "failed"
    for text in ("executor_config.more: not known", "imgae: not known, did you mean 'image'?", "memory_mb: int is wanted, not str",
                 "start_deadline: set by the executor"):
        assert text in info
    state, info = stand.end_of(executor, refused)
    assert state == "failed" and "sandbox_override.timeout" in info and "sandbox_override.provider" in info
    assert {entry.event for entry in executor._task_event_logs} == {"sandbox rejected"} and not stand.runs()


def test_a_task_that_expires_in_the_queue_leaves_without_a_failure(stand):
    with Daemon({"scheduling": {"max_running": 1}}) as daemon:
        executor = stand.executor(address(daemon.start()), start_margin=0, capacity_interval=300)
        first, late = make_workload("wait_first"), make_workload("ok", expires_in=3)
        stand.queue(executor, first)
        stand.started(executor, "wait_first")
        executor._slots._others.clear()  # else the executor would not hand over what the daemon has no room for
        stand.queue(executor, late)
        stand.beat_until(executor, lambda: executor._task_event_logs, "a task event")
        (entry,) = executor._task_event_logs
        assert entry.event == "sandbox expired" and entry.task_id == "ok" and "EXPIRED" in entry.extra
        assert executor.running == {first.ti.key} and not executor.has_task(late.ti) and not stand.ends()
        again = make_workload("ok", ti_id=str(late.ti.id))
        stand.go("wait_first")
        stand.queue(executor, again)
        assert stand.end_of(executor, again) == ("success", None)
        assert [run[0] for run in stand.runs()] == ["wait_first", "ok"]


def test_a_failure_that_airflow_decides_stops_the_sandbox_without_an_event(stand, daemon):
    executor = stand.executor(address(daemon))
    item = make_workload("wait_it")
    stand.queue(executor, item)
    pid = stand.started(executor, "wait_it")
    executor.change_state(item.ti.key, "failed", remove_running=True)
    stand.beat_until(executor, lambda: gone(pid), "the task is gone")
    stand.beat_for(executor, 0.5)
    assert stand.ends() == [(item.ti.key, "failed", None)] and not executor._task_event_logs
    (task,) = daemon.client.list()
    assert end(task)[:2] == ("CANCELLED", "CANCELLED")


@pytest.mark.skipif(not hasattr(workloads, "ExecuteCallback"), reason="this Airflow has no callbacks for executors")
def test_a_callback_runs_and_its_states_are_told(stand, daemon):
    executor = stand.executor(address(daemon))
    item = workloads.ExecuteCallback.model_validate({
        "token": "", "dag_rel_path": "dag.py", "bundle_info": {"name": "dags-folder"}, "log_path": "executor_callbacks/dag/run/one",
        "callback": {"id": "0198c7d0-0000-7000-8000-000000000001", "fetch_method": "import_path", "data": {"path": "wait_back", "kwargs": {}}}})
    stand.queue(executor, item)
    stand.started(executor, "wait_back")
    stand.beat_until(executor, lambda: [event for event in stand.events if event[1] == "running"], "RUNNING")
    stand.go("wait_back")
    stand.beat_until(executor, lambda: stand.ends(), "the end")
    ((key, state, _),) = stand.ends()
    assert state == "success" and str(getattr(key, "id", key)) == item.callback.id and not executor.running


def test_nothing_secret_is_where_others_can_see_it(stand, daemon):
    executor = stand.executor(address(daemon), token="")
    item = make_workload("wait_secret")
    stand.queue(executor, item)
    stand.started(executor, "wait_secret")
    arguments = " ".join(" ".join(processes.arguments(pid)) for pid in processes.of_folder(daemon.folder))
    relay = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    (task,) = daemon.client.list()
    secret = item.token
    for text in (arguments, relay, daemon.log_text(), str(task), repr(executor._options), executor._courier.describe()):
        assert secret not in text and item.model_dump_json() not in text
    assert "airflow-workload-" in arguments and os.path.exists(daemon.socket)
    stand.go("wait_secret")
    assert stand.end_of(executor, item)[0] == "success"
