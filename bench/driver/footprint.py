"""What the daemon costs while it holds tasks, starts again, or does nothing."""

import time
import urllib.error

from bench.driver import processes, programs
from bench.driver.bounds import AtMost
from bench.driver.daemon import BenchDaemon
from bench.driver.experiment import Experiment
from bench.driver.launch import Launching, tasks
from bench.driver.rows import Row
from bench.driver.stats import slope
from tests.harness.client import spec
from tests.harness.processes import resident_bytes
from tests.harness.stubs import executor_pb2

_KIB = 1024
_PADDING = 180  # makes the specs 300 bytes long
_MIB = 1024 * 1024
_BATCH = 100  # tasks of one call: what a call costs for a moment is no memory of its tasks


def queue_tasks(context, daemon, count):
    """Makes `count` more tasks durable."""
    programs.run_json([context.program("load"), "--target", daemon.target, "--batch=100", "--in_flight=4", "--warmup=0",
                       f"--padding={_PADDING}", f"--tasks={count}"])


class QueuedMemory(Experiment):
    """Growth of the daemon's resident size from a few to many queued tasks."""

    name = "memory-queued"
    rows = (Row("memory-queued", "memory per queued task (spec of 300 bytes; slope of RSS, 10 k to 100 k)", "KiB", "KiB",
                floor=(AtMost(2, "KiB"),), goal=(AtMost(1, "KiB"),)),)

    def sides(self, context):
        few, many = context.size(10_000, 10_000, 5_000), context.size(100_000, 100_000, 30_000)

        def ours():
            with BenchDaemon(context.folder) as daemon:
                daemon.start().drain()
                queue_tasks(context, daemon, few)
                before = resident_bytes(daemon.process.pid)
                queue_tasks(context, daemon, many - few)
                daemon.expect_states({"QUEUED": many})
                after = resident_bytes(daemon.process.pid)
            return {"KiB": slope(few, before, many, after) / _KIB}

        return [("boxkeeper", ours)]


class RunningMemory(Launching):
    """Growth of the daemon, and what stands around each command (supervisor; with bubblewrap also bwrap and the init)."""

    def __init__(self, isolation):
        super().__init__(isolation)
        self.name = f"memory-running-{isolation}"
        self.rows = (
            Row(f"memory-running-{isolation}", "daemon's memory per running task (slope of RSS)", "daemon", "KiB", isolation,
                floor=(AtMost(2, "KiB"),), goal=(AtMost(1, "KiB"),)),
            Row(f"memory-supervisor-{isolation}", "supervision per running task (PSS without the command)", "around", "KiB", isolation),
        )

    def open(self, context, stack):
        """Each round has a daemon of its own: memory that a round before left free would hide growth."""
        super().open(context, stack)
        stack.close()

    def sides(self, context):
        # Far apart: what grows once (the WAL's index, buffers) must not pass for memory of a task.
        few, many = context.size(500, 100, 20), context.size(2500, 600, 80)

        def run_up_to(daemon, ids, count):
            while len(ids) < count:
                size = min(_BATCH, count - len(ids))
                specs = [spec(argv=["/bin/sleep", "100000"], owner="bench:memory") for _ in range(size)]
                batch = [result.id for result in daemon.client.submit_all(specs)]
                daemon.client.wait_all(batch, executor_pb2.WaitTaskRequest.RUNNING, 120)
                ids += batch
            daemon.expect_states({"RUNNING": count})

        def ours():
            with BenchDaemon(context.folder, self.isolation, {"scheduling": {"max_running": many}}) as daemon:
                daemon.start()
                ids = []
                run_up_to(daemon, ids, few)
                before = resident_bytes(daemon.process.pid)
                run_up_to(daemon, ids, many)
                after = resident_bytes(daemon.process.pid)
                around = [pid for pid in processes.descendants(daemon.launcher_pid()) if processes.program(pid) != "sleep"]
                pss = sum(processes.pss_bytes(pid) for pid in around)
            return {"daemon": slope(few, before, many, after) / _KIB, "around": pss / many / _KIB}

        return [("boxkeeper", ours)]


def _seconds_to_ready(daemon):
    """Starts the daemon; seconds until /readyz says yes."""
    began = time.monotonic()
    said = len(daemon.log_text())
    daemon.launch()
    while time.monotonic() - began < 120:
        if daemon.process.poll() is not None:
            raise programs.Failed(f"boxkeeperd left with {daemon.process.returncode}: {daemon.log_tail()[-300:]}")
        if daemon.find_addresses(said):
            try:
                if daemon.http("/readyz")[0] == 200:
                    return time.monotonic() - began
            except (urllib.error.URLError, OSError):
                pass
        time.sleep(0.002)
    raise programs.Failed("not ready within 120 s")


class Restart(Experiment):
    """kill -9 → ready, with many queued tasks; the reference is the same with an empty store."""

    name = "restart"
    rows = (Row("restart", "kill -9 → ready with 100 k tasks queued", "seconds", "s", reference="empty", reference_name="with an empty store",
                floor=(AtMost(2, "s", ("echo",)),), goal=(AtMost(0.5, "s", ("echo",)),)),)

    def open(self, context, stack):
        self.count = context.size(100_000, 100_000, 20_000)
        self.full = stack.enter_context(BenchDaemon(context.folder))
        self.empty = stack.enter_context(BenchDaemon(context.folder))
        self.full.start().drain()
        self.empty.start().drain()
        queue_tasks(context, self.full, self.count)

    def sides(self, context):
        def again(daemon, expected):
            daemon.kill()
            seconds = _seconds_to_ready(daemon)
            daemon.reconnect()
            daemon.expect_states(expected)
            return seconds

        return [("boxkeeper", lambda: {"seconds": again(self.full, {"QUEUED": self.count})}),
                ("empty", lambda: {"empty": again(self.empty, {})})]


class Idle(Experiment):
    """Nothing to do: one local provider, no client."""

    name = "idle"
    rows = (
        Row("idle-cpu", "idle: processor time (daemon and launcher)", "cpu", "% of a core", floor=(AtMost(0.5, "%"),), goal=(AtMost(0.1, "%"),)),
        Row("idle-memory", "idle: daemon's resident memory", "memory", "MiB", floor=(AtMost(40, "MiB"),), goal=(AtMost(25, "MiB"),)),
    )

    def open(self, context, stack):
        self.daemon = stack.enter_context(BenchDaemon(context.folder)).start()
        tasks(context, self.daemon, 1, 1, ["/bin/true"])  # what starts with the first task has started

    def sides(self, context):
        seconds = context.size(5, 2, 1)

        def ours():
            pids = [pid for pid in (self.daemon.process.pid, self.daemon.launcher_pid()) if pid]
            before, began = [processes.cpu_seconds(pid) for pid in pids], time.monotonic()
            time.sleep(seconds)
            used = sum(processes.cpu_seconds(pid) for pid in pids) - sum(before)
            return {"cpu": 100 * used / (time.monotonic() - began), "memory": resident_bytes(self.daemon.process.pid) / _MIB}

        return [("boxkeeper", ours)]


EXPERIMENTS = [QueuedMemory(), RunningMemory("none"), RunningMemory("bubblewrap"), Restart(), Idle()]
