"""Tries every way out of a sandbox, from inside one that the real daemon made, and compares how each is refused."""

import functools
import os

import pytest

from tests.breakout import expected, prison
from tests.harness import oci
from tests.harness.daemon import Daemon

# Who runs the daemon, who the tasks run as, and on which root.
CASES = {
    "root": (None, "", None),
    "root-running-as-nobody": (None, "nobody", None),
    "ordinary-user": (prison.NOBODY, "", None),
    "root-on-an-image": (None, "", "busybox"),
    "nobody-on-an-image": (None, "nobody", "busybox"),
    "ordinary-user-on-an-image": (prison.NOBODY, "", "busybox"),
}


class Run:
    """One run of the probe: facts, probes, and the task's end."""

    def __init__(self, case):
        user, run_as, image = CASES[case]
        with Daemon(user=user) as daemon:
            os.chmod(daemon.folder, 0o755)  # the bait in it is for everybody
            root = oci.busybox_root(os.path.join(daemon.folder, "busybox"), "busybox")
            daemon.configure({"providers": {"local": {"isolation": "bubblewrap", "run_as": run_as, "images": {"busybox": root}}}})
            daemon.start()
            with prison.Bait(daemon.folder, prison.NOBODY if run_as else user) as bait:
                override = {"image": image} if image else None
                self.facts, self.probes, self.task = prison.run_inside(daemon, bait.arguments(daemon.state_dir), override=override)


@functools.lru_cache(maxsize=None)
def _run(case):
    return Run(case)


@pytest.fixture(params=CASES)
def run(request, needs_bubblewrap):
    return _run(request.param)


def test_every_attempt_is_refused_as_expected(run):
    assert expected.wrong(expected.PROBES, run.probes) == []
    assert set(run.probes) == set(expected.PROBES)


def test_the_process_is_and_has_what_it_should(run):
    assert expected.wrong(expected.FACTS, run.facts) == []
    assert set(run.facts["environment"].split()) <= expected.ENVIRONMENT
    assert set(run.facts["devices"].split()) <= expected.DEVICES
    assert int(run.facts["processes"]) <= 3  # init, perhaps a shell, the probe


def test_the_status_names_the_isolation(run):
    assert run.task.sandbox.isolation == "bubblewrap"


def test_the_same_probe_in_an_ordinary_process_finds_the_host():
    """The suite can fail: without isolation, by the same way through the daemon, the host is there."""
    with Daemon() as daemon:
        daemon.start()
        with prison.Bait(daemon.folder) as bait:
            facts, probes, _ = prison.run_inside(daemon, [*bait.arguments(daemon.state_dir), "--control"])
    found = ("read_host_file", "climb_to_host_file", "signal_host_process", "see_host_process", "connect_host_loopback",
             "connect_host_abstract_socket", "read_state_dir", "connect_launcher", "read_shadow")
    assert {name: probes[name] for name in found} == {name: "none" for name in found}
    assert expected.wrong(expected.FACTS, facts)
