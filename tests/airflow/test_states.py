"""The states that DAGs end in; the same under LocalExecutor."""

import pytest

from tests.airflow.stand.world import World, lines
from tests.harness.waiting import until

_DAGS = ["states", "fifty", "missed"]
# Seconds that a deferred task pauses: see dags/states.py.
_DELAY = {"local": 20, "sandbox": 0}


@pytest.fixture(scope="module", params=["sandbox", "local"])
def world(request):
    with World(_DAGS, request.param, triggerer=True) as running:
        yield running


def test_every_way_to_end_or_pause(world):
    place = world.new_place("states")
    run = world.trigger("states", place, delay=_DELAY[world.executor])
    assert world.rest.wait_for_run("states", run) == {
        "timeout": ("failed", 1), "never_succeeds": ("failed", 3), "fails_at_once": ("failed", 1), "killed": ("failed", 1),
        "skipped": ("skipped", 1), "succeeds": ("success", 1), "deferred": ("success", 1), "rescheduled": ("success", 1),
        "last": ("success", 1)}
    assert {name: lines(place, name) for name in ("timeout", "never_succeeds", "fails_at_once", "killed", "deferred", "rescheduled", "last")} == {
        "timeout": ["begins"], "never_succeeds": ["1", "2", "3"], "fails_at_once": ["1"], "killed": ["begins"],
        "deferred": ["again", "begins", "ends"], "rescheduled": ["poke"] * 3, "last": ["ran"]}
    if world.executor == "sandbox":  # a back-up of Airflow's own: execution_timeout + task_success_overtime + 60 s
        assert {task.spec.timeout.seconds for task in world.tasks("states", run) if task.key.name == "timeout"} == {82}
    assert lines(place, "callbacks") == ["failure never_succeeds 3", "retry never_succeeds 1", "retry never_succeeds 2", "success succeeds 1"]


def test_fifty_mapped_instances_run_once_each(world):
    place = world.new_place("fifty")
    run = world.trigger("fifty", place)
    expected = {f"each[{i}]": ("success", 1) for i in range(50)}
    assert world.rest.wait_for_run("fifty", run, 300) == {**expected, "total": ("success", 1)}
    assert lines(place, "each") == sorted(str(i) for i in range(50))
    assert lines(place, "total") == [str(sum(range(50)))]


def test_a_missed_deadline_calls_back(world):
    place = world.new_place("missed")
    gate = world.gate(place)
    run = world.trigger("missed", place)
    until(lambda: lines(place, "late"), "the callback's line", 60)
    gate.open()
    assert world.rest.wait_for_run("missed", run) == {"waits": ("success", 1)}
    assert lines(place, "late") == ["late"]
