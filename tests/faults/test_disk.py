"""Errors of the disk under the real daemon: a failed sync or write ends all writing; the next start has all that was
acknowledged and nothing that was not.

A full disk: tests/e2e/test_storage.py. Errors at each operation, by simulation: store/sqlite_log_crash_test.cc."""

import errno
import os
import threading

import grpc
import pytest

from tests.faults import store_check
from tests.harness.client import end, forever, spec, state_name
from tests.harness.daemon import BIN, Daemon
from tests.harness.gate import Gate
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import SLOWNESS, until

_SHIM = os.path.join(BIN, "tests", "faults", "disk_errors.so")
_STORAGE_FAILED = 74


class Disk:
    """The plan that the preloaded shim follows."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "disk.plan")
        self.environment = {"LD_PRELOAD": _SHIM, "BOXKEEPER_DISK_ERRORS": self.path}

    def fail(self, *lines):
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))
        os.rename(self.path + ".new", self.path)

    def heal(self):
        os.remove(self.path)

    def failures(self):
        try:
            with open(self.path + ".done", encoding="utf-8") as file:
                return len(file.readlines())
        except FileNotFoundError:
            return 0


class Load(threading.Thread):
    """Submits until the daemon is gone; keeps what was acknowledged and what was asked for."""

    def __init__(self, client, folder):
        super().__init__(daemon=True)
        self._client, self._folder = client, folder
        self.acknowledged, self.asked = {}, []
        self.start()

    def run(self):
        for number in range(1_000_000):
            item = spec(shell=f"echo ran >> {self._folder}/ran.{number}; exit {number % 3}")
            self.asked.append(item)
            try:
                result = self._client.call(self._client.executor.SubmitTasks, executor_pb2.SubmitTasksRequest(tasks=[item]), wait=False).results[0]
            except grpc.RpcError:
                return
            if result.outcome == executor_pb2.SubmitResult.ACCEPTED:
                self.acknowledged[result.id] = number


@pytest.mark.parametrize("plan", [f"fdatasync {errno.EIO} /state.db-wal", f"pwrite {errno.EIO} /state.db-wal",
                                  f"fdatasync {errno.ENOSPC} /state.db-wal"])
def test_after_a_failed_sync_or_write_nothing_is_acknowledged_any_more(plan):
    with Daemon() as daemon:
        disk, gate = Disk(daemon.folder), Gate(daemon.folder)
        daemon.environment = disk.environment
        client = daemon.start().client
        running = client.submit(spec(shell=f"{gate.wait}; exit 7"))
        client.wait_running(running)
        load = Load(client, daemon.folder)
        until(lambda: len(load.acknowledged) >= 20, "some load")
        disk.fail(plan)
        assert daemon.process.wait(60 * SLOWNESS) == _STORAGE_FAILED
        load.join(60 * SLOWNESS)
        assert disk.failures() == 1, "it went on writing after the first error"
        assert "nothing more is written" in daemon.log_tail()
        # A disk that is still broken is refused too, and told.
        daemon.launch()
        assert daemon.process.wait(60 * SLOWNESS) == _STORAGE_FAILED, daemon.log_tail()
        disk.heal()
        gate.open()
        daemon.start()
        for task in client.wait_all(list(load.acknowledged), seconds=120):
            number = load.acknowledged[task.id]
            code = number % 3
            assert end(task) == ("FAILED" if code else "SUCCEEDED", "EXIT_CODE", code, None)
        assert end(client.wait(running)) == ("FAILED", "EXIT_CODE", 7, None)
        # What was not answered is either not there or runs as any other; asking again tells which, and runs nothing twice.
        last = client.submit_all([load.asked[-1]])[0]
        assert last.outcome in (executor_pb2.SubmitResult.ACCEPTED, executor_pb2.SubmitResult.DUPLICATE)
        client.wait(last.id)
        for number in range(len(load.asked)):
            with open(f"{daemon.folder}/ran.{number}", encoding="utf-8") as file:
                assert file.read() == "ran\n", number
        assert daemon.terminate() == 0
        store_check.check(daemon.state_dir)


@pytest.mark.parametrize("call", ["fdatasync", "fsync", "pwrite"])
def test_a_log_store_on_a_broken_disk_is_tried_again_until_it_has_every_byte(call):
    with Daemon() as daemon:
        disk = Disk(daemon.folder)
        daemon.environment = disk.environment
        client = daemon.start().client
        disk.fail(f"{call} {errno.EIO} /stdout" if call != "fsync" else f"fsync {errno.EIO} /logs")
        task = client.submit(spec(shell="echo kept; exit 3"))
        assert end(client.wait(task))[2] == 3
        until(disk.failures, "the log store fails")
        assert not client.get(task).log.complete
        disk.heal()
        told = client.wait(task, executor_pb2.WaitTaskRequest.LOG_COMPLETE, seconds=90)
        assert daemon.stored_log(told) == b"kept\n"


def test_the_start_on_a_disk_that_cannot_sync_is_refused_and_changes_nothing():
    with Daemon() as daemon:
        disk = Disk(daemon.folder)
        daemon.environment = disk.environment
        client = daemon.start().client
        task = client.run(spec(shell="exit 6"))
        live = client.submit(spec(argv=forever()))
        client.wait_running(live)
        daemon.kill()
        disk.fail(f"fdatasync {errno.EIO} /state.db-wal", f"fdatasync {errno.EIO} /state.db")
        daemon.launch()
        assert daemon.process.wait(60 * SLOWNESS) == _STORAGE_FAILED, daemon.log_tail()
        disk.heal()
        daemon.start()
        assert client.get(task.id).exit_code == 6
        assert state_name(client.wait_running(live).state) == "RUNNING"
        client.cancel(live, force=True)
        client.wait(live)
