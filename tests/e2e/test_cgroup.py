"""Stopping the daemon's service kills its whole cgroup: tasks live in boxlaunch's own and do not notice."""

import contextlib
import os
import signal
import subprocess

import pytest

from tests.harness import abilities, processes
from tests.harness.client import end, spec
from tests.harness.daemon import LAUNCHER, Daemon
from tests.harness.gate import Gate
from tests.harness.stubs import admin_pb2
from tests.harness.waiting import until


def _hierarchy():
    """Root of a writable cgroup tree that boxlaunch compares: systemd's named one, else version 2; needs root."""
    for path in ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup"):
        if os.path.exists(os.path.join(path, "cgroup.procs")):
            return path
    raise AssertionError("no cgroup hierarchy is mounted")


@contextlib.contextmanager
def _cgroup(name):
    path = os.path.join(_hierarchy(), name)
    os.mkdir(path)
    try:
        yield path
    finally:
        until(lambda: not _members(path), f"{name} empty")
        os.rmdir(path)


def _members(path):
    with open(os.path.join(path, "cgroup.procs"), encoding="utf-8") as procs:
        return [int(line) for line in procs]


def _enter(path, pid):
    with open(os.path.join(path, "cgroup.procs"), "w", encoding="utf-8") as procs:
        procs.write(str(pid))


def _kill_all(path):
    def empty():
        for pid in _members(path):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not _members(path)

    until(empty, "the cgroup is empty")


@pytest.mark.parametrize("isolation", ["none", "bubblewrap"])
def test_killing_the_daemons_whole_cgroup_touches_no_task(isolation):
    if isolation == "bubblewrap":
        abilities.need_bubblewrap()
    with Daemon() as daemon, _cgroup(f"bk-test-daemon-{os.getpid()}") as service:
        launcher = subprocess.Popen([LAUNCHER, "--state_dir", daemon.state_dir], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            until(lambda: os.path.exists(os.path.join(daemon.state_dir, "launch", "launch.sock")), "boxlaunch listens")
            gates = os.path.join(daemon.folder, "gates")
            os.mkdir(gates)
            os.chmod(gates, 0o777)  # isolated tasks run as nobody
            gate = Gate(gates)
            daemon.configure({"providers": {"local": {"isolation": isolation, "allow_host_paths": [gates]}}})
            override = {} if isolation == "none" else {"volumes": [f"{gates}:{gates}"]}
            daemon.launch()
            _enter(service, daemon.process.pid)
            client = daemon.client
            until(lambda: client.health() == 1, "serving")
            status = client.call(client.admin.GetStatus, admin_pb2.GetStatusRequest())
            assert status.tasks_survive_service_stop
            ids = [client.submit(spec(shell=f"echo before; {gate.wait}; echo after; exit {n}", override=override)) for n in range(4)]
            for task_id in ids:
                client.wait_running(task_id)
            assert _members(service) == [daemon.process.pid]
            _kill_all(service)
            daemon.process.wait(30)
            assert launcher.poll() is None
            gate.open(4)
            daemon.start()
            for number, task in enumerate(client.wait_all(ids)):
                assert end(task)[1:3] == ("EXIT_CODE", number)
                assert client.log(task.id) == b"before\nafter\n"
        finally:
            launcher.kill()
            launcher.wait()
            processes.kill_all_of(daemon.folder)


@contextlib.contextmanager
def _inside(path):
    """This process, and so what it starts, is in the cgroup meanwhile."""
    before = _own()
    _enter(path, os.getpid())
    try:
        yield
    finally:
        _enter(before, os.getpid())


def _own():
    """This process's group in the hierarchy."""
    marks = (":name=systemd:", "0::") if _hierarchy().endswith("systemd") else ("0::",)
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        lines = file.read().splitlines()
    return next(_hierarchy() + line.partition(mark)[2] for mark in marks for line in lines if mark in line)


def test_a_launcher_that_the_daemon_starts_leaves_its_cgroup():
    with Daemon() as daemon, _cgroup(f"bk-test-daemon-{os.getpid()}") as service:
        try:
            gate = Gate(daemon.folder)
            with _inside(service):
                daemon.start()
            client = daemon.client
            identity = client.submit(spec(shell=f"echo before; {gate.wait}; echo after; exit 7"))
            client.wait_running(identity)
            status = client.call(client.admin.GetStatus, admin_pb2.GetStatusRequest())
            assert status.tasks_survive_service_stop
            assert _members(service) == [daemon.process.pid]
            _kill_all(service)
            daemon.process.wait(30)
            gate.open()
            daemon.start()
            task = client.wait(identity)
            assert end(task)[1:3] == ("EXIT_CODE", 7)
            assert client.log(task.id) == b"before\nafter\n"
        finally:
            processes.kill_all_of(daemon.folder)


def test_a_launcher_in_the_daemons_own_cgroup_is_told(daemon):
    client = daemon.client
    client.run(spec(argv=["true"]))
    status = client.call(client.admin.GetStatus, admin_pb2.GetStatusRequest())
    launcher = daemon.launcher_pid()
    with open(f"/proc/{launcher}/cgroup", encoding="utf-8") as theirs, open(f"/proc/{daemon.process.pid}/cgroup", encoding="utf-8") as ours:
        assert status.tasks_survive_service_stop == (theirs.read() != ours.read())
