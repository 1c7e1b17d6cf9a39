"""The everyday DAG in every other minor version of Airflow 3 that is supported: real workload runners, real schedulers."""

import pytest

from tests.airflow.stand.world import World, lines
from tests.harness import airflow_venv


@pytest.mark.parametrize("version", [version for version in airflow_venv.VERSIONS if version != airflow_venv.VERSION])
def test_a_short_dag(version):
    with World(["short"], version=version) as world:
        place = world.new_place("short")
        run = world.trigger("short", place)
        states = world.rest.wait_for_run("short", run)
        assert states.pop("second_try") == ("success", 2)
        assert states.pop("fails") == ("failed", 1)
        assert states.pop("after")[0] == "upstream_failed"
        assert states == {name: ("success", 1) for name in ("number", "each[0]", "each[1]", "each[2]", "total")}
        assert {name: lines(place, name) for name in ("number", "second_try", "each", "total", "fails", "after")} == {
            "number": ["ran"], "second_try": ["1", "2"], "each": ["0", "1", "2"], "total": ["12"], "fails": ["ran"], "after": []}
        shown = [record["event"] for record in world.rest.log("short", run, "number")]
        assert shown.count("a line of the task's own") == 1
        assert world.ends("short", run) == ["SUCCEEDED/EXIT_CODE"] * 8
