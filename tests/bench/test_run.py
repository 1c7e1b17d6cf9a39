"""The driver against real daemons: what it prints, and that it leaves nothing behind."""

import json
import os
import signal
import subprocess

import pytest

from tests.harness import processes
from tests.harness.daemon import BIN
from tests.harness.stubs import ROOT
from tests.harness.waiting import until


def _start(folder, *arguments):
    # A shell's background job, which CI may be, ignores ^C and bequeaths that.
    command = ["env", "--default-signal=INT", "/usr/bin/python3", "-m", "bench.driver.main", "--dir", str(folder), *arguments]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "BOXKEEPER_BIN": BIN},
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def folder(tmp_path):
    yield tmp_path
    processes.kill_all_of(str(tmp_path))


def _nothing_left(folder):
    return not processes.of_folder(str(folder)) and not os.listdir(folder)


def test_one_row_from_start_to_table(folder, tmp_path_factory):
    report = tmp_path_factory.mktemp("report") / "bench.json"
    out, err = (process := _start(folder, "--quick", "--rounds", "2", "--rows", "idle-*", "--json", str(report))).communicate(timeout=120)
    assert process.returncode == 0, err
    assert "idle: daemon's resident memory" in out and "yardsticks: echo" in out
    made = json.loads(report.read_text())
    assert [row["name"] for row in made["rows"]] == ["idle-cpu", "idle-memory"]
    assert made["complete"] and all(len(row["samples"]["ours"]) == 2 for row in made["rows"])
    assert _nothing_left(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(folder, number):
    process = _start(folder, "--rows", "true-none-4", "--rounds", "1000")

    def measuring():
        assert process.poll() is None, process.stderr.read()
        return any((processes.arguments(pid) or [""])[0].endswith("/bench/tasks") for pid in _children(process.pid))

    until(measuring, "a measuring program at work", 120)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert _nothing_left(folder)


def _children(pid):
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [child for child in pids if processes.parent(child) == pid and processes.arguments(child)]


def test_an_unknown_row_is_wrong_usage(folder):
    process = _start(folder, "--rows", "nonesuch")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "no row matches" in err
