"""executor_config={"sandbox_override": ...}."""

import pytest

from tests.airflow.stand.world import World, lines


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


def test_a_timeout_of_the_sandbox_fails_the_task_and_says_so(finished):
    world, run, place = finished
    assert world.rest.states("overridden", run)["too_long"] == ("failed", 1)
    assert lines(place, "too_long") == ["begins"]
    assert world.ends("overridden", run, "too_long") == ["FAILED/RUN_TIMEOUT"]
    assert any("RUN_TIMEOUT" in str(extra) for _, extra in world.rest.events("overridden", run, "too_long"))
