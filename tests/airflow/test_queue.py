"""A task that waits longer for a sandbox than its token lives."""

import pytest

from tests.airflow.stand.world import World, lines
from tests.harness.waiting import until

# In 3.3 a workload's token lives as long as a task may be stuck in the queue; its last 30 s are too late for a start.
_SETTINGS = {"SCHEDULER__TASK_QUEUED_TIMEOUT": 55, "SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": 3}


@pytest.fixture(scope="module")
def world():
    with World(["alone"], settings=_SETTINGS, daemon={"providers": {"local": {"max_running": 1}}}) as running:
        yield running


def test_it_expires_says_so_and_is_queued_again_without_a_retry(world):
    places = [world.new_place(name) for name in ("first", "second")]
    gates = [world.gate(place) for place in places]
    first = world.trigger("alone", places[0])
    until(lambda: lines(places[0], "begun"), "the first task runs", 60)
    second = world.trigger("alone", places[1])
    until(lambda: any(task.HasField("ended_at") for task in world.tasks("alone", second)), "the second one expires", 60)
    until(lambda: any("EXPIRED" in str(extra) for _, extra in world.rest.events("alone", second, "waits")), "a task event says so", 30, 0.5)
    assert world.rest.states("alone", second) == {"waits": ("queued", 1)}
    gates[0].open()
    gates[1].open()
    assert world.rest.wait_for_run("alone", first) == {"waits": ("success", 1)}
    assert world.rest.wait_for_run("alone", second) == {"waits": ("success", 1)}
    assert lines(places[1], "begun") == lines(places[1], "ended") == ["1"]
    ends = world.ends("alone", second)
    assert ends[0] == "FAILED/EXPIRED"
    assert ends[-1] == "SUCCEEDED/EXIT_CODE"
