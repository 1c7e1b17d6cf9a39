"""The everyday test with the real Airflow: one short DAG, from the trigger to the logs."""

import pytest

from tests.airflow.stand.world import World, lines

pytestmark = pytest.mark.everyday


@pytest.fixture(scope="module")
def world():
    with World(["short"]) as running:
        yield running


def test_a_short_dag(world):
    place = world.new_place("short")
    run = world.trigger("short", place)
    assert world.rest.wait_for_run("short", run) == {
        "number": ("success", 1), "second_try": ("success", 2), "each[0]": ("success", 1), "each[1]": ("success", 1), "each[2]": ("success", 1),
        "total": ("success", 1), "fails": ("failed", 1), "after": ("upstream_failed", 0)}
    assert {name: lines(place, name) for name in ("number", "second_try", "each", "total", "fails", "after")} == {
        "number": ["ran"], "second_try": ["1", "2"], "each": ["0", "1", "2"], "total": ["12"], "fails": ["ran"], "after": []}
    shown = [record["event"] for record in world.rest.log("short", run, "number")]
    assert shown.count("a line of the task's own") == 1
    assert any("the first try fails" in str(record) for record in world.rest.log("short", run, "second_try", 1))
