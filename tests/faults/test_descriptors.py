"""No descriptors left: admission is refused, nothing spins, nothing is damaged, and all is well again by itself."""

import contextlib
import os
import resource
import socket
import threading

import pytest

from tests.faults import store_check
from tests.harness import processes
from tests.harness.client import Client, end, spec
from tests.harness.daemon import Daemon
from tests.harness.gate import Gate
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import SLOWNESS, until

_WATCHED_SECONDS = 3


def _cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def _none_left(daemon, spare=0):
    """No further descriptors than `spare` for the daemon meanwhile."""
    pid = daemon.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(int(fd) for fd in os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1 + spare, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def _crowd(path, count):
    """Connections that nobody accepts, or that take what is left."""
    crowd = []
    try:
        for _ in range(count):
            one = socket.socket(socket.AF_UNIX)
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(path)
            crowd.append(one)
        yield
    finally:
        for one in crowd:
            one.close()


@pytest.mark.parametrize("spare", [0, 3])
def test_without_descriptors_nothing_spins_and_all_is_well_afterwards(spare):
    with Daemon() as daemon:
        client, gate = daemon.start().client, Gate(daemon.folder)
        running = client.submit(spec(shell=f"{gate.wait}; echo kept; exit 7"))
        client.wait_running(running)
        accepted = []
        with _none_left(daemon, spare), _crowd(daemon.socket, 64):
            for number in range(10):
                # Over the connection that is there: refused, or accepted and run later.
                result = client.submit_all([spec(shell=f"echo ran >> {daemon.folder}/ran.{number}")])[0]
                if result.outcome == executor_pb2.SubmitResult.ACCEPTED:
                    accepted.append((number, result.id))
            before = _cpu_seconds(daemon.process.pid)
            threading.Event().wait(_WATCHED_SECONDS)
            used = _cpu_seconds(daemon.process.pid) - before
            assert used < 0.5 * _WATCHED_SECONDS * SLOWNESS, f"{used} s of processor in {_WATCHED_SECONDS} s"
            gate.open()
            assert end(client.wait(running)) == ("FAILED", "EXIT_CODE", 7, None)
        newcomer = Client(f"unix:{daemon.socket}")
        try:
            until(lambda: newcomer.health() == 1, "new connections are taken again")
            assert end(newcomer.run(spec(argv=["true"])))[0] == "SUCCEEDED"
        finally:
            newcomer.close()
        for number, task_id in accepted:
            task = client.wait(task_id, executor_pb2.WaitTaskRequest.LOG_COMPLETE, seconds=90)
            assert end(task) == ("SUCCEEDED", "EXIT_CODE", 0, None), (end(task), task.message)
            with open(f"{daemon.folder}/ran.{number}", encoding="utf-8") as file:
                assert file.read() == "ran\n", number
        told = client.wait(running, executor_pb2.WaitTaskRequest.LOG_COMPLETE, seconds=90)
        assert daemon.stored_log(told) == b"kept\n"
        daemon.restart()
        assert end(client.get(running)) == ("FAILED", "EXIT_CODE", 7, None)
        assert daemon.terminate() == 0
        store_check.check(daemon.state_dir)


def test_the_http_port_is_served_again_too():
    with Daemon() as daemon:
        client = daemon.start().client
        client.run(spec(argv=["true"]))
        assert daemon.http("/healthz")[0] == 200
        port = processes.listening_ports(daemon.process.pid)[0]
        with _none_left(daemon), contextlib.ExitStack() as crowd:
            for _ in range(64):
                crowd.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            before = _cpu_seconds(daemon.process.pid)
            threading.Event().wait(_WATCHED_SECONDS)
            assert _cpu_seconds(daemon.process.pid) - before < 0.5 * _WATCHED_SECONDS * SLOWNESS
        until(lambda: daemon.http("/healthz")[0] == 200, "served again")
