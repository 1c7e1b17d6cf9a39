"""What happens to tasks that run: people clear and mark them, daemon and scheduler die, their logs are read."""

import os

import pytest

from tests.airflow.stand.world import World, lines
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import until

_LOG_COMPLETE = executor_pb2.WaitTaskRequest.LOG_COMPLETE
# A scheduler that is silent for 6 s is dead, and its tasks are looked for every 3 s.
_SETTINGS = {"SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": 6, "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": 3}
_HELD = [f"{i} 1" for i in range(4)]


@pytest.fixture(scope="module")
def world():
    with World(["held", "alone", "talks"], settings=_SETTINGS) as running:
        yield running


def _hold(world, dag_id, count):
    """A run whose tasks have all begun and wait at the gate: (place, gate, run id)."""
    place = world.new_place(f"{dag_id}-{os.urandom(4).hex()}")
    gate = world.gate(place)
    run = world.trigger(dag_id, place)
    until(lambda: len(lines(place, "begun")) == count, f"{count} tasks of {dag_id} have begun", 90)
    return place, gate, run


def _finish_held(world, place, gate, run):
    gate.open(4)
    assert world.rest.wait_for_run("held", run) == {**{f"each[{i}]": ("success", 1) for i in range(4)}, "after": ("success", 1)}
    assert lines(place, "begun") == _HELD
    assert lines(place, "ended") == _HELD
    assert world.ends("held", run) == ["SUCCEEDED/EXIT_CODE"] * 5


def test_marked_failed_the_sandbox_dies_and_nothing_runs_again(world):
    place, _, run = _hold(world, "alone", 1)
    world.rest.set_state("alone", run, "waits", "failed")
    until(lambda: world.tasks("alone", run)[0].HasField("ended_at"), "the sandbox's end", 60)
    world.wait_until_no_sandbox()
    assert world.rest.wait_for_run("alone", run) == {"waits": ("failed", 1)}
    assert (lines(place, "begun"), lines(place, "ended")) == (["1"], [])
    assert len(world.tasks("alone", run)) == 1


def test_cleared_the_sandbox_dies_and_the_task_runs_once_more(world):
    place, gate, run = _hold(world, "alone", 1)
    world.rest.clear("alone", run, "waits")
    until(lambda: world.tasks("alone", run)[0].HasField("ended_at"), "the first sandbox's end", 60)
    until(lambda: len(lines(place, "begun")) == 2, "the second execution begins", 60)
    gate.open()
    states = world.rest.wait_for_run("alone", run)
    assert states["waits"][0] == "success"
    assert (lines(place, "begun"), lines(place, "ended")) == (["1", "2"], ["2"])
    assert len(world.tasks("alone", run)) == 2
    world.wait_until_no_sandbox()


def test_a_lost_sandbox_fails_the_task_and_says_so(world):
    place, _, run = _hold(world, "alone", 1)
    for pid in world.daemon.supervisor_pids():
        world.daemon.kill_launcher_process(pid)
    assert world.rest.wait_for_run("alone", run) == {"waits": ("failed", 1)}
    assert world.ends("alone", run) == ["LOST/SANDBOX_LOST"]
    world.daemon.client.wait(world.tasks("alone", run)[0].id, _LOG_COMPLETE)
    assert "LOST/SANDBOX_LOST" in str(world.rest.log("alone", run, "waits"))
    assert "LOST/SANDBOX_LOST" in str(world.rest.events("alone", run, "waits"))
    assert (lines(place, "begun"), lines(place, "ended")) == (["1"], [])


def test_a_daemon_that_is_killed_finds_its_tasks_again(world):
    place, gate, run = _hold(world, "held", 4)
    world.daemon.restart()
    _finish_held(world, place, gate, run)


def test_tasks_that_end_while_the_daemon_is_down_have_ended(world):
    place, gate, run = _hold(world, "held", 4)
    world.daemon.kill()
    gate.open(4)
    until(lambda: len(lines(place, "ended")) == 4, "the tasks' end", 60)
    world.daemon.start()
    _finish_held(world, place, gate, run)


def test_what_is_queued_while_the_daemon_is_down_runs_when_it_is_back(world):
    place = world.new_place("down")
    gate = world.gate(place)
    world.daemon.kill()
    try:
        run = world.trigger("held", place)
        until(lambda: [state for state, _ in world.rest.states("held", run).values() if state in ("scheduled", "queued")], "waiting in Airflow")
        assert lines(place, "begun") == []
    finally:
        world.daemon.start()
    _finish_held(world, place, gate, run)


def test_a_scheduler_that_is_killed_is_followed_by_one_that_adopts(world):
    place, gate, run = _hold(world, "held", 4)
    owners = {task.owner for task in world.tasks("held", run)}
    world.airflow.kill("scheduler")
    world.airflow.launch_scheduler()
    until(lambda: not owners & {task.owner for task in world.tasks("held", run)}, "adopted", 60)
    _finish_held(world, place, gate, run)


def test_tasks_that_end_while_no_scheduler_is_there_have_ended(world):
    place, gate, run = _hold(world, "held", 4)
    world.airflow.kill("scheduler")
    gate.open(4)
    until(lambda: len(lines(place, "ended")) == 4, "the tasks' end", 60)
    world.airflow.launch_scheduler()
    _finish_held(world, place, gate, run)


def test_each_line_is_shown_once_while_the_task_runs_and_after(world):
    place = world.new_place("talks")
    gate = world.gate(place)
    run = world.trigger("talks", place, lines=12)
    until(lambda: lines(place, "begun"), "the task has begun", 60)

    assert any("Boxkeeper: task" in source for source in world.rest.log_sources("talks", run, "speaker"))
    said = [f"line {number} of {run}" for number in range(12)]
    looks = []

    def shown():
        looks.append([record["event"] for record in world.rest.log("talks", run, "speaker") if record["event"].startswith("line ")])
        return looks[-1]

    for number in range(12):
        gate.open()
        # Stored between Airflow's look at the store and its question to the daemon, a line comes a look later.
        until(lambda n=number: shown() == said[:n + 1], f"line {number} shown", 30, 0.2)
    assert all(look == [line for line in said if line in look] for look in looks)  # never twice, never out of order
    assert world.rest.wait_for_run("talks", run) == {"speaker": ("success", 1)}
    world.daemon.client.wait(world.tasks("talks", run)[0].id, _LOG_COMPLETE)
    assert shown() == said
    sources = world.rest.log_sources("talks", run, "speaker")
    assert sources and all(source.startswith("s3://") for source in sources)
