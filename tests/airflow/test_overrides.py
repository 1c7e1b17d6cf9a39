"""executor_config={"sandbox_override": ...}."""

import pytest

from tests.airflow.stand.world import World, lines
from tests.harness.stubs import executor_pb2

_LOG_COMPLETE = executor_pb2.WaitTaskRequest.LOG_COMPLETE


@pytest.fixture(scope="module")
def finished():
    """(world, run, place) of a run of the DAG `overridden` that has ended."""
    with World(["overridden"], isolation="none") as world:
        place = world.new_place("overridden")
        run = world.trigger("overridden", place)
        world.rest.wait_for_run("overridden", run)
        yield world, run, place


def test_environment_and_limits_reach_the_task(finished):
    world, run, place = finished
    states = world.rest.states("overridden", run)
    assert (states["greeted"], states["limited"]) == (("success", 1), ("success", 1))
    assert lines(place, "greeted") == ["from the sandbox"]
    assert [task.spec.memory_mb for task in world.tasks("overridden", run, "limited")] == [3000]


def test_a_misspelt_key_fails_the_task_and_says_which(finished):
    world, run, place = finished
    assert world.rest.states("overridden", run)["misspelt"] == ("failed", 1)
    assert lines(place, "misspelt") == []
    assert any("memory_bm" in str(extra) for _, extra in world.rest.events("overridden", run, "misspelt"))


def _said(finished, task):
    """(texts of the task's log in the user interface, texts of its task events), each in one."""
    world, run, _ = finished
    world.daemon.client.wait_all([one.id for one in world.tasks("overridden", run, task)], _LOG_COMPLETE)
    return str(world.rest.log("overridden", run, task)), str(world.rest.events("overridden", run, task))


def test_a_timeout_of_the_sandbox_fails_the_task_and_says_so(finished):
    world, run, place = finished
    assert world.rest.states("overridden", run)["too_long"] == ("failed", 1)
    assert lines(place, "too_long") == ["begins"]
    assert world.ends("overridden", run, "too_long") == ["FAILED/RUN_TIMEOUT"]
    assert all("FAILED/RUN_TIMEOUT" in text for text in _said(finished, "too_long"))


def test_a_task_that_needs_more_memory_than_it_may_fails_and_says_so(finished):
    world, run, place = finished
    assert world.rest.states("overridden", run)["too_big"] == ("failed", 1)
    assert lines(place, "too_big") == ["begins"]
    # The kernel kills all of the sandbox (FAILED/OOM), or only the child, whose end Airflow's runner tells ("likely ... (OOM)").
    said, _ = _said(finished, "too_big")
    assert "OOM" in said
    assert said.count("Worker startup parse complete") == 1


def test_a_sandbox_that_cannot_start_fails_the_task_and_says_why(finished):
    world, run, place = finished
    assert world.rest.states("overridden", run)["never_starts"][0] == "failed"
    assert lines(place, "never_starts") == []
    assert world.ends("overridden", run, "never_starts") == ["FAILED/START_FAILED"]
    assert all("FAILED/START_FAILED" in text and "/nowhere" in text for text in _said(finished, "never_starts"))
