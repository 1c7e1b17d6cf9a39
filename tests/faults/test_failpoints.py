"""The real programs are killed at every fault point; afterwards all accounts of what happened agree."""

import os
import re
import subprocess

import pytest

from tests.faults import failpoints
from tests.faults.cloud_world import CloudWorld
from tests.faults.world import World
from tests.harness.stubs import ROOT


def _run(scenario, daemon_at=None, launcher_at=None):
    config = getattr(scenario, "config", None)
    if hasattr(scenario, "cloud"):
        made = CloudWorld(config, daemon_at, launcher_at, one_step=getattr(scenario, "one_step", False))
    else:
        made = World(config, daemon_at, launcher_at)
    with made as world:
        world.keeper.on_death = lambda: leaked.extend(world.expose_canary())
        leaked = []
        if daemon_at and not getattr(scenario, "arms_later", False):
            world.arm(daemon_at)
        world.start()
        scenario(world)
        if daemon_at:
            world.wait_passed("daemon")
        if launcher_at:
            world.wait_passed("launcher")
        world.judge()
        assert not leaked, leaked


@pytest.mark.parametrize(("scenario", "point"), [pytest.param(*case, id=f"{case[0].__name__}-{case[1]}") for case in failpoints.DAEMON])
def test_the_daemon_killed(scenario, point):
    _run(scenario, daemon_at=point)


@pytest.mark.parametrize(("scenario", "point"), [pytest.param(*case, id=f"{case[0].__name__}-{case[1]}") for case in failpoints.CLOUD])
def test_the_daemon_killed_while_its_tasks_are_at_fakecloud(scenario, point):
    _run(scenario, daemon_at=point)


@pytest.mark.parametrize(("scenario", "point"), [pytest.param(*case, id=f"{case[0].__name__}-{case[1]}") for case in failpoints.LAUNCHER])
def test_the_launcher_or_a_supervisor_killed(scenario, point):
    _run(scenario, launcher_at=point)


def test_every_fault_point_of_the_source_is_in_the_tables_and_the_other_way_round():
    files = subprocess.run(["git", "ls-files", "*.cc", "*.h"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    found = set()
    for name in files:
        if name.endswith("_test.cc") or name.startswith("base/") or not os.path.exists(os.path.join(ROOT, name)):
            continue
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            text = file.read()
        found |= set(re.findall(r'Failpoint\(\s*"([^"]+)"', text))
        if name == "daemon/core/states.cc":  # every move passes one under its own name
            found |= set(re.findall(r'"(k[A-Z]\w+)"', text))
    assert found == failpoints.names()
