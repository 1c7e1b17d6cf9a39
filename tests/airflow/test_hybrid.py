"""SandboxOperator and @task.sandbox under LocalExecutor, SandboxExecutor beside it, and both without a scheduler."""

import pytest

from tests.airflow.stand.world import World, lines


@pytest.fixture(scope="module")
def world():
    with World(["commands", "hybrid"], "hybrid", isolation="none", triggerer=True) as running:
        yield running


_TOLD = ["deferred: from far away", "product: {'product': 6}", "said: the last of commands"]


def test_commands_of_every_kind(world):
    place = world.new_place("commands")
    run = world.trigger("commands", place)
    assert world.rest.wait_for_run("commands", run, 90) == {
        "said": ("success", 1), "listed": ("success", 1), "deferred": ("success", 1), "exits": ("failed", 1), "product": ("success", 1),
        "told": ("success", 1), "after": ("success", 1)}
    assert lines(place, "told") == _TOLD
    said = [record["event"] for record in world.rest.log("commands", run, "said")]
    assert said.count("a line of said") == said.count("the last of commands") == 1
    exits = str(world.rest.log("commands", run, "exits"))
    assert "what went wrong" in exits and "code 3" in exits


def test_each_task_runs_by_the_executor_that_it_names(world):
    place = world.new_place("hybrid")
    run = world.trigger("hybrid", place)
    assert world.rest.wait_for_run("hybrid", run, 90) == {"at_home": ("success", 1), "boxed": ("success", 1)}
    assert lines(place, "at_home") == ["on the host"]
    assert lines(place, "boxed") == ["in a sandbox"]


def test_commands_without_a_scheduler(world):
    """dag.test(), as people try a DAG."""
    place = world.new_place("alone")
    printed = world.airflow.run_python(f"""
from commands import commands
run = commands().test(run_conf={{'place': {place!r}}})
print({{ti.task_id: str(ti.state) for ti in run.get_task_instances()}})
""")
    assert "'exits': 'failed'" in printed and printed.count("'success'") == 6, printed[-3000:]
    assert lines(place, "told") == _TOLD
    assert lines(place, "after") == ["ran"]
