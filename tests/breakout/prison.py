"""Runs the probe inside sandboxes of a real daemon, and outside of any for comparison."""

import gzip
import json
import os
import socket
import subprocess

from tests.harness.client import spec
from tests.harness.daemon import BIN

PROBE = os.path.join(BIN, "tests", "breakout", "probe")
NOBODY = 65534


class Bait:
    """Things of the host that a sandbox must not reach: a process, a port, an abstract socket, a file. A context manager."""

    def __init__(self, folder, user=None):
        self.secret_file = os.path.join(folder, "secret.txt")
        with open(self.secret_file, "w", encoding="utf-8") as file:
            file.write("the host's secret\n")
        os.chmod(self.secret_file, 0o644)
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self.abstract = f"bk-breakout-{os.getpid()}-{os.path.basename(folder)}"
        self._unix = socket.socket(socket.AF_UNIX)
        self._unix.bind("\0" + self.abstract)
        self._unix.listen()
        options = {"user": user, "group": user, "extra_groups": []} if user else {}
        self._victim = subprocess.Popen(["sleep", "1000"], cwd="/", env={}, **options)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self._victim.kill()
        self._victim.wait()
        self._tcp.close()
        self._unix.close()

    def arguments(self, state_dir):
        return ["--victim", str(self._victim.pid), "--tcp_port", str(self._tcp.getsockname()[1]), "--abstract", self.abstract,
                "--secret_file", self.secret_file, "--state_dir", state_dir]


def parse(output):
    """(facts, probes) of the probe's lines, each as a map."""
    facts, probes = {}, {}
    for line in output.decode().splitlines():
        entry = json.loads(line)
        if "fact" in entry:
            facts[entry["fact"]] = entry["value"]
        else:
            probes[entry["probe"]] = entry["errno"]
    return facts, probes


def probe_task(arguments, **fields):
    """A task that unpacks and runs the probe in its working directory."""
    task = spec(argv=["/bin/sh", "-c", 'gunzip -c probe.gz > probe && chmod 700 probe && exec ./probe "$@"', "probe", *arguments],
                **fields)
    with open(PROBE, "rb") as file:
        task.files.add(path="probe.gz", content=gzip.compress(file.read()))
    return task


def run_inside(daemon, arguments, **fields):
    """(facts, probes, task) of a run in a sandbox."""
    task = daemon.client.run(probe_task(arguments, **fields), seconds=120)
    assert task.HasField("exit_code") and task.exit_code == 0, (task.message, daemon.client.log(task.id, "STDERR"))
    return *parse(daemon.client.log(task.id)), task


def run_outside(command):
    """(facts, probes) of a run of the probe by a command of the host."""
    return parse(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=120, cwd="/").stdout)
