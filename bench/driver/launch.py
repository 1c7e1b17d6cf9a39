"""Launching: `true` end to end, and the two latencies that a scheduler feels, against the bare loops."""

import os

from bench.driver import histogram, programs
from bench.driver.bounds import AboveReference, AtLeast, AtMost, Ratio
from bench.driver.daemon import BenchDaemon
from bench.driver.experiment import Experiment, Unavailable
from bench.driver.programs import Failed
from bench.driver.rows import Row

_SPAWN_AND_DISK = ("spawn", "fdatasync")
_STAMP = "./stamp"


def bwrap(folder=None):
    """The bare bwrap command line that our isolation is compared with: all namespaces, read-only system, fresh /proc, /dev and
    /tmp. `folder` appears as the work directory."""
    if not os.access("/usr/bin/bwrap", os.X_OK):
        raise Unavailable("bwrap is not installed (tools/setup)")
    command = ["/usr/bin/bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin",
               "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    if folder:
        command += ["--bind", folder, "/work", "--chdir", "/work"]
    return command + ["--"]


def spawn_loop(context, in_flight, count, command, stamps=False):
    """The bare loop's JSON."""
    flags = ["--stamps"] if stamps else []
    return programs.run_json([context.program("spawn_loop"), "--in_flight", str(in_flight), "--count", str(count), *flags, "--", *command])


def tasks(context, daemon, in_flight, count, command, *flags):
    """Whole lives of `count` tasks through the daemon: JSON; Failed unless each succeeded with its log complete."""
    return programs.run_json([context.program("tasks"), "--target", daemon.target, "--in_flight", str(in_flight), "--count", str(count),
                              *flags, "--", *command])


def stamped(context, daemon, isolation, in_flight, count):
    """The same with a command that tells its first and last act: JSON with both latencies."""
    if isolation == "none":
        return tasks(context, daemon, in_flight, count, [context.program("stamp")], "--stamps")
    # The sandbox does not see the build's folder.
    return tasks(context, daemon, in_flight, count, [_STAMP], "--stamps", "--file", context.program("stamp"))


class Launching(Experiment):
    """An experiment on one daemon with an isolation; Unavailable where the daemon does not start with it."""

    def __init__(self, isolation):
        self.isolation = isolation
        self.daemon = None

    def open(self, context, stack):
        if self.isolation == "bubblewrap":
            bwrap()
        self.daemon = stack.enter_context(BenchDaemon(context.folder, self.isolation))
        try:
            self.daemon.start()
        except (Failed, AssertionError) as why:
            told = str(why).replace(self.daemon.folder + "/", "")  # the same for every row
            raise Unavailable(f"isolation {self.isolation}: {told}") from None


class Throughput(Launching):
    """`true` end to end with `calls` in flight, logs and events on."""

    def __init__(self, isolation, calls, floor, goal):
        super().__init__(isolation)
        self.calls = calls
        self.name = f"true-{isolation}-{calls}"
        loop = "raw spawn loop" if isolation == "none" else "raw bwrap loop"
        self.rows = (
            Row(self.name, f"`true` end to end, {calls} in flight", "tasks/s", "tasks/s", isolation, "loop/s", loop, floor, goal),
            Row(f"loop-lag-{self.name}", "… loop lag p99 meanwhile", "lag", "ms", isolation),
        )

    def sides(self, context):
        count = context.size(3000, 1000, 400) if self.isolation == "none" else context.size(1000, 300, 150)
        command = (bwrap() if self.isolation == "bubblewrap" else []) + ["/bin/true"]

        def ours():
            before = histogram.read(self.daemon.http("/metrics")[1], histogram.LOOP_LAG)
            rate = tasks(context, self.daemon, self.calls, count, ["/bin/true"])["rate"]
            after = histogram.read(self.daemon.http("/metrics")[1], histogram.LOOP_LAG)
            return {"tasks/s": rate, "lag": histogram.quantile(histogram.since(before, after), 0.99) * 1000}

        return [
            ("boxkeeper", ours),
            ("loop", lambda: {"loop/s": spawn_loop(context, self.calls, count, command)["rate"]}),
        ]


class Latency(Launching):
    """Submit → the command's own first act, and its last act → event at the subscriber."""

    def __init__(self, isolation, calls, to_running, to_event):
        super().__init__(isolation)
        self.calls = calls
        self.name = f"latency-{isolation}-{calls}"
        self.rows = (
            Row(f"submit-to-running-{isolation}-{calls}", f"submit → user process running, {calls} in flight, p50", "to running", "ms",
                isolation, "loop to running", "bare loop", *to_running),
            Row(f"exit-to-event-{isolation}-{calls}", f"exit → durable event at the subscriber, {calls} in flight, p50", "to event", "ms",
                isolation, "loop to seen", "bare loop", *to_event),
        )

    def sides(self, context):
        count = context.size(1000, 300, 150)
        folder = os.path.join(context.bin, "bench")
        command = (bwrap(folder) if self.isolation == "bubblewrap" else []) + [
            _STAMP if self.isolation == "bubblewrap" else context.program("stamp")]

        def ours():
            answer = stamped(context, self.daemon, self.isolation, self.calls, count)
            return {"to running": answer["submit_to_running"]["p50_ms"], "to event": answer["exit_to_event"]["p50_ms"]}

        def loop():
            answer = spawn_loop(context, self.calls, count, command, stamps=True)
            return {"loop to running": answer["to_start"]["p50_ms"], "loop to seen": answer["to_seen"]["p50_ms"]}

        return [("boxkeeper", ours), ("loop", loop)]


def _running_bounds(isolation):
    if isolation == "none":
        return (AtMost(3, "ms", _SPAWN_AND_DISK),), (AtMost(1, "ms", _SPAWN_AND_DISK),)
    return (AboveReference(3, "ms", _SPAWN_AND_DISK),), (AboveReference(1, "ms", _SPAWN_AND_DISK),)


def _event_bounds(isolation):
    if isolation == "none":
        return (AtMost(2, "ms", _SPAWN_AND_DISK),), (AtMost(1, "ms", _SPAWN_AND_DISK),)
    return (), ()


EXPERIMENTS = [
    *(Latency("none", calls, _running_bounds("none") if calls <= 2 else ((), ()), _event_bounds("none")) for calls in (1, 2, 4)),
    *(Latency("bubblewrap", calls, _running_bounds("bubblewrap") if calls <= 2 else ((), ()), _event_bounds("bubblewrap"))
      for calls in (1, 2, 4)),
    *(Throughput("none", calls, (Ratio(0.35, "loop"),), (Ratio(0.6, "loop"), AtLeast(1500, scaled_by=_SPAWN_AND_DISK)))
      for calls in (4, 8)),
    *(Throughput("bubblewrap", calls, (Ratio(0.6, "bwrap"),), (Ratio(0.8, "bwrap"),)) for calls in (4, 8)),
]
