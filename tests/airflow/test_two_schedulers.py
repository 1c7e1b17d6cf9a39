"""Two schedulers on one PostgreSQL, each with an executor of its own on the same daemon."""

import re

import pytest

from tests.airflow.stand.world import World, lines
from tests.harness import servers
from tests.harness.postgres import Postgres
from tests.harness.waiting import until

# Small bites, so that both get some.
_SETTINGS = {"SCHEDULER__MAX_TIS_PER_QUERY": 4, "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": 6, "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": 3}


@pytest.fixture(scope="module")
def world():
    try:
        postgres = Postgres()
    except servers.Unavailable as why:
        pytest.skip(str(why))
    with postgres:
        url = f"postgresql+psycopg2://{postgres.user}@127.0.0.1:{postgres.port}/{postgres.database}"
        with World(["fifty", "held"], settings=_SETTINGS, database=url) as running:
            running.airflow.launch_scheduler("second")
            until(lambda: "SandboxExecutor: daemon" in running.airflow.log_text("second"), "the second scheduler's executor", 60)
            yield running


def test_fifty_mapped_instances_run_once_each(world):
    place = world.new_place("fifty")
    run = world.trigger("fifty", place)
    expected = {f"each[{i}]": ("success", 1) for i in range(50)}
    assert world.rest.wait_for_run("fifty", run, 300) == {**expected, "total": ("success", 1)}
    assert lines(place, "each") == sorted(str(i) for i in range(50))
    assert world.ends("fifty", run) == ["SUCCEEDED/EXIT_CODE"] * 51


def _owner(world, name):
    """The event stream of a scheduler's executor."""
    return re.search(r"owner (\S+),", world.airflow.log_text(name)).group(1)


def test_one_dies_and_the_other_adopts(world):
    held = []
    for number in range(2):
        place = world.new_place(f"held-{number}")
        gate = world.gate(place)
        held.append((world.trigger("held", place), place, gate))
    for _, place, _ in held:
        until(lambda where=place: len(lines(where, "begun")) == 4, "the tasks have begun", 90)

    def owners():
        return {task.owner for run, _, _ in held for task in world.tasks("held", run)}

    world.airflow.kill("scheduler")
    until(lambda: owners() == {_owner(world, "second")}, "all tasks are the survivor's", 60)
    for _, _, gate in held:
        gate.open(4)
    for run, place, _ in held:
        assert world.rest.wait_for_run("held", run) == {**{f"each[{i}]": ("success", 1) for i in range(4)}, "after": ("success", 1)}
        assert lines(place, "begun") == lines(place, "ended") == [f"{i} 1" for i in range(4)]
    world.wait_until_no_sandbox()
