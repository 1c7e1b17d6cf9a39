"""Log bytes through the daemon: command → spool → log store, and the daemon's memory meanwhile."""

import os
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


def _command(size):
    return f"yes '{_LINE}' | head -c {size}"


class Logs(Experiment):
    """One task writes as fast as it can; over all rounds of a full run 10 GB."""

    name = "logs"
    rows = (
        Row("logs", "log bytes through the daemon, one task (submit → stored)", "MB/s", "MB/s", "none", "copy", "write to a file, copy it, sync",
            floor=(AtLeast(150, "MB/s"),), goal=(AtLeast(400, "MB/s"),)),
        Row("logs-memory", "… growth of the daemon's memory over its start", "growth", "MiB", "none", floor=(AtMost(64, "MiB"),)),
    )

    def open(self, context, stack):
        self.daemon = stack.enter_context(BenchDaemon(context.folder)).start()
        self.size = context.size(10_000, 1_000, 100) * _MB // context.rounds

    def _verify(self, task):
        """The stored log is complete and equals what the command writes again."""
        path = os.path.join(self.daemon.folder, "logs", task.log.path, "stdout")
        if not task.log.complete or task.log.dropped_bytes or task.log.stdout_bytes != self.size:
            raise programs.Failed(f"the log is not complete: {task.log}")
        programs.run(["/bin/sh", "-c", f"{_command(self.size)} | cmp - '{path}'"])

    def _ours(self):
        with processes.PeakMemory(self.daemon.process.pid) as memory:
            began = time.monotonic()
            task = self.daemon.client.submit(spec(shell=_command(self.size), owner="bench:logs"))
            done = self.daemon.client.wait(task, executor_pb2.WaitTaskRequest.LOG_COMPLETE, 600)
            seconds = time.monotonic() - began
        self._verify(done)
        return {"MB/s": self.size / _MB / seconds, "growth": (memory.peak_bytes - memory.start_bytes) / 2**20}

    def _copy(self, context):
        first, second = (os.path.join(context.folder, name) for name in ("copied-from", "copied-to"))
        began = time.monotonic()
        programs.run(["/bin/sh", "-c", f"{_command(self.size)} > '{first}' && cp --reflink=never '{first}' '{second}' && sync -d '{first}' '{second}'"])
        seconds = time.monotonic() - began
        os.unlink(first)
        os.unlink(second)
        return {"copy": self.size / _MB / seconds}

    def sides(self, context):
        return [("boxkeeper", self._ours), ("copy", lambda: self._copy(context))]


EXPERIMENTS = [Logs()]
