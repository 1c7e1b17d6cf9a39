"""Log bytes through the daemon: command → spool → log store, and the daemon's memory and processor time meanwhile."""

import os
import threading
import time

from bench.driver import processes, programs
from bench.driver.bounds import AtLeast, AtMost
from bench.driver.daemon import BenchDaemon
from bench.driver.experiment import Experiment
from bench.driver.rows import Row
from tests.harness.client import spec
from tests.harness.stubs import executor_pb2

_LINE = "2026-01-01T00:00:00Z INFO a line of output of the length that programs like to write, more or less"
_MB = 1_000_000


def command(size):
    return f"yes '{_LINE}' | head -c {size}"


class Logs(Experiment):
    """One task writes as fast as it can; over all rounds of a full run 10 GB."""

    name = "logs"
    rows = (
        Row("logs", "log bytes through the daemon, one task (submit → stored)", "MB/s", "MB/s", "none", "copy", "write to a file, copy it, sync",
            floor=(AtLeast(150, "MB/s"),), goal=(AtLeast(400, "MB/s"),)),
        Row("logs-memory", "… growth of the daemon's memory over its start", "growth", "MiB", "none", floor=(AtMost(64, "MiB"),)),
        Row("logs-cpu", "… the daemon's processor time", "ms/MB", "ms/MB", "none"),
    )

    def open(self, context, stack):
        self.daemon = stack.enter_context(BenchDaemon(context.folder)).start()
        self.size = context.size(10_000, 1_000, 100) * _MB // context.rounds

    def _verify(self, task):
        """The stored log is complete and equals what the command writes again."""
        path = os.path.join(self.daemon.folder, "logs", task.log.path, "stdout")
        if not task.log.complete or task.log.dropped_bytes or task.log.stdout_bytes != self.size:
            raise programs.Failed(f"the log is not complete: {task.log}")
        programs.run(["/bin/sh", "-c", f"{command(self.size)} | cmp - '{path}'"])

    def _ours(self):
        with processes.PeakMemory(self.daemon.process.pid) as memory:
            began, used = time.monotonic(), processes.cpu_seconds(self.daemon.process.pid)
            task = self.daemon.client.submit(spec(shell=command(self.size), owner="bench:logs"))
            done = self.daemon.client.wait(task, executor_pb2.WaitTaskRequest.LOG_COMPLETE, 600)
            seconds = time.monotonic() - began
            used = processes.cpu_seconds(self.daemon.process.pid) - used
        self._verify(done)
        return {"MB/s": self.size / _MB / seconds, "growth": (memory.peak_bytes - memory.start_bytes) / 2**20, "ms/MB": used * 1e3 / (self.size / _MB)}

    def _copy(self, context):
        first, second = (os.path.join(context.folder, name) for name in ("copied-from", "copied-to"))
        began = time.monotonic()
        programs.run(["/bin/sh", "-c", f"{command(self.size)} > '{first}' && cp --reflink=never '{first}' '{second}' && sync -d '{first}' '{second}'"])
        seconds = time.monotonic() - began
        os.unlink(first)
        os.unlink(second)
        return {"copy": self.size / _MB / seconds}

    def sides(self, context):
        return [("boxkeeper", self._ours), ("copy", lambda: self._copy(context))]


class ManyLogs(Experiment):
    """Tasks that each write a line a second: what the daemon grows by after all of them have run for a while."""

    name = "logs-many"
    rows = (
        Row("logs-many-memory", "growth of the daemon's memory while 1 000 tasks write a line a second, over 20 s", "growth many", "MiB", "none",
            floor=(AtMost(8, "MiB"),)),
        Row("logs-many-cpu", "… the daemon's processor time, share of one core", "cpu many", "%", "none"),
    )

    def open(self, context, stack):
        self.daemon = stack.enter_context(BenchDaemon(context.folder)).start()
        self.tasks = context.size(1_000, 300, 50)
        self.half = context.size(20, 10, 5)

    def _measure(self):
        client, pid, pause = self.daemon.client, self.daemon.process.pid, threading.Event()
        lines = 3 * self.half
        shell = f"n=0; while [ $n -lt {lines} ]; do echo line $n; sleep 1; n=$((n+1)); done"
        ids = [result.id for result in client.submit_all([spec(shell=shell, owner="bench:logs") for _ in range(self.tasks)])]
        client.wait_all(ids, executor_pb2.WaitTaskRequest.RUNNING, 120)
        pause.wait(self.half)
        with processes.PeakMemory(pid) as memory:
            used = processes.cpu_seconds(pid)
            pause.wait(self.half)
            used = processes.cpu_seconds(pid) - used
        expected = "".join(f"line {n}\n" for n in range(lines)).encode()
        for task in client.wait_all(ids, executor_pb2.WaitTaskRequest.LOG_COMPLETE, 10 * self.half + 60):
            if self.daemon.stored_log(task) != expected:
                raise programs.Failed(f"the log of {task.id} is not what the task wrote")
        return {"growth many": (memory.peak_bytes - memory.start_bytes) / 2**20, "cpu many": 100 * used / self.half}

    def sides(self, context):
        return [("many", self._measure)]


EXPERIMENTS = [Logs(), ManyLogs()]
