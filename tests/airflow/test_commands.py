"""SandboxOperator in the real Airflow with LocalExecutor: its worker dies, its triggerer dies, a user kills the task."""

import json
import os
import signal

import pytest

from tests.airflow.stand.components import Components
from tests.airflow.stand.world import lines
from tests.harness import processes
from tests.harness.client import end, state_name
from tests.harness.daemon import Daemon
from tests.harness.gate import Gate
from tests.harness.waiting import until

_SETTINGS = {
    "CORE__EXECUTOR": "LocalExecutor",
    # Dead workers are found soon.
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "10", "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "1", "TRIGGERER__JOB_HEARTBEAT_SEC": "1", "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
}


class Stage:
    """An Airflow and a daemon; `begin` starts a run of one of the DAGs and waits until its command runs."""

    def __init__(self, daemon, airflow):
        self.daemon, self.airflow, self.rest = daemon, airflow, airflow.rest

    def begin(self, dag_id, name):
        """Returns the run's id, its folder and its gate."""
        place = os.path.join(self.airflow.place, name)
        os.mkdir(place)
        gate = Gate(place)
        run = self.rest.trigger(dag_id, place=place)
        until(lambda: lines(place, "runs"), "the command runs", 120)
        return run, place, gate

    def tasks(self, dag_id, run):
        """The daemon's tasks for a run, oldest first."""
        return sorted(self.daemon.client.list(key_prefix=f"airflow/COMMAND/{dag_id}/{run}/"), key=lambda task: task.generation)

    def events(self, dag_id, run, try_number=1):
        """The texts of the log of a try, as the user interface has it."""
        return [one["event"] for one in self.rest.log(dag_id, run, "job", try_number)]

    def wait_for_trigger(self, run):
        """Until the triggerer has begun: what it never ran it cannot cancel."""
        until(lambda: any("trigger" in event and event.endswith("starting") for event in self.events("defers", run)), "the trigger runs", 60)

    def shown(self, dag_id, run, try_number=1):
        """The command's lines in that log."""
        return [event for event in self.events(dag_id, run, try_number) if event in ("before", "after")]


@pytest.fixture(scope="module")
def stage():
    with Daemon() as daemon:
        connection = json.dumps({"conn_type": "boxkeeper", "host": f"unix:{daemon.start().socket}"})
        with Components(["follows", "defers"], _SETTINGS, {"AIRFLOW_CONN_BOXKEEPER_DEFAULT": connection}, triggerer=True) as airflow:
            yield Stage(daemon, airflow.start())


def workers(stage, ti_id):
    """Pids of LocalExecutor's process that supervises a task instance, and of its children."""
    everybody = processes.of_folder(stage.airflow.folder)
    found = [pid for pid in everybody if "LocalExecutor" in " ".join(processes.arguments(pid)) and ti_id in " ".join(processes.arguments(pid))]
    return found + [pid for pid in everybody if processes.parent(pid) in found]


def test_the_next_try_goes_on_when_the_worker_was_killed(stage):
    run, place, gate = stage.begin("follows", "killed")
    instance = stage.rest.wait_for_state("follows", run, "job", "running")
    until(lambda: stage.shown("follows", run) == ["before"], "the line in the log while the command runs")
    pids = until(lambda: workers(stage, instance["id"]), "the worker of the task")
    assert len(pids) >= 2, pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    stage.rest.wait_for_state("follows", run, "job", "running", try_number=2, seconds=120)
    gate.open()
    assert stage.rest.wait_for_run("follows", run) == {"job": ("success", 2)}
    assert lines(place, "runs") == ["run"] and len(stage.tasks("follows", run)) == 1
    assert stage.shown("follows", run, 2) == ["before", "after"]


def test_marking_a_running_task_ends_its_sandbox(stage):
    run, place, gate = stage.begin("follows", "marked")
    stage.rest.wait_for_state("follows", run, "job", "running")
    stage.rest.set_state("follows", run, "job", "failed")
    (task,) = stage.tasks("follows", run)
    (task,) = stage.daemon.client.wait_all([task.id])
    assert end(task)[0] == "CANCELLED" and "the task was killed" in task.message


def test_clearing_a_running_task_ends_its_sandbox_and_runs_it_again(stage):
    run, place, gate = stage.begin("follows", "cleared")
    stage.rest.wait_for_state("follows", run, "job", "running")
    stage.rest.clear("follows", run, "job")
    until(lambda: len(stage.tasks("follows", run)) == 2, "a second sandbox", 120)
    until(lambda: len(lines(place, "runs")) == 2, "the second run")
    first, second = stage.tasks("follows", run)
    assert state_name(first.state) == "CANCELLED"
    gate.open()
    assert stage.rest.wait_for_run("follows", run)["job"][0] == "success"
    assert state_name(stage.tasks("follows", run)[1].state) == "SUCCEEDED" and second.id


def test_a_deferred_task_goes_on_when_the_triggerer_was_killed(stage):
    run, place, gate = stage.begin("defers", "triggerer")
    stage.rest.wait_for_state("defers", run, "job", "deferred")
    for number in (signal.SIGTERM, signal.SIGKILL):
        process = stage.airflow.processes["triggerer"]
        children = [pid for pid in processes.of_folder(stage.airflow.folder) if processes.parent(pid) == process.pid]
        stage.airflow.kill("triggerer", number)
        for pid in children:
            if number == signal.SIGKILL and processes.arguments(pid):
                os.kill(pid, signal.SIGKILL)
        stage.airflow.launch("triggerer", "triggerer")
    (task,) = stage.tasks("defers", run)
    assert state_name(task.state) == "RUNNING"
    gate.open()
    assert stage.rest.wait_for_run("defers", run) == {"job": ("success", 1)}
    assert lines(place, "runs") == ["run"] and stage.shown("defers", run) == ["before", "after"]


def test_marking_a_deferred_task_ends_its_sandbox(stage):
    run, place, gate = stage.begin("defers", "deferred-marked")
    stage.rest.wait_for_state("defers", run, "job", "deferred")
    stage.wait_for_trigger(run)
    stage.rest.set_state("defers", run, "job", "failed")
    (task,) = stage.tasks("defers", run)
    (task,) = stage.daemon.client.wait_all([task.id])
    assert end(task)[0] == "CANCELLED" and "the deferred task was killed" in task.message


def test_clearing_a_deferred_task_ends_its_sandbox_and_runs_it_again(stage):
    run, place, gate = stage.begin("defers", "deferred-cleared")
    stage.rest.wait_for_state("defers", run, "job", "deferred")
    stage.rest.clear("defers", run, "job")
    until(lambda: len(lines(place, "runs")) == 2, "the second run", 120)
    first, second = stage.tasks("defers", run)
    assert state_name(first.state) == "CANCELLED" and state_name(second.state) == "RUNNING"
    gate.open()
    assert stage.rest.wait_for_run("defers", run)["job"][0] == "success"
