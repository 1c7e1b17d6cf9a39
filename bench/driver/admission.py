"""Durable admission against an echo of the same requests, closed and open loop."""

from bench.driver import histogram, programs
from bench.driver.bounds import AtLeast, AtMost, Ratio
from bench.driver.daemon import BenchDaemon
from bench.driver.experiment import Experiment
from bench.driver.rows import Row

_CPU_AND_DISK = ("echo", "fdatasync")


def _load(context, target, seconds, **options):
    flags = [f"--{name}={value}" for name, value in options.items()]
    return programs.run_json([context.program("load"), "--target", target, f"--seconds={seconds}", *flags])


def _on_daemon(context, seconds, measure=None, **options):
    """Load on a fresh daemon that starts nothing; every accepted task must be queued there afterwards."""
    with BenchDaemon(context.folder) as daemon:
        daemon.start().drain()
        answer = _load(context, daemon.target, seconds, **options)
        daemon.expect_states({"QUEUED": answer["accepted"]})
        extra = measure(daemon) if measure else {}
    return answer, extra


class Admission(Experiment):
    """Closed loop: `calls` calls in flight of `batch` tasks each."""

    def __init__(self, batch, calls, floor, goal):
        self.batch, self.calls = batch, calls
        kind = "unary" if batch == 1 else f"batches of {batch}"
        self.name = f"admission-{'unary' if batch == 1 else 'batch'}-{calls}"
        what = f"durable admission, {kind}, {calls} in flight"
        p99 = (AtMost(10, "ms", _CPU_AND_DISK),) if batch > 1 else ()
        self.rows = (
            Row(self.name, what, "tasks/s", "tasks/s", reference="echo/s", reference_name="gRPC echo of the same requests",
                floor=floor, goal=goal),
            Row(f"{self.name}-p99", f"… its p99 of one call ({batch} task{'s' * (batch > 1)})", "p99", "ms", reference="echo p99",
                reference_name="gRPC echo", goal=p99, floor=()),
        )

    def sides(self, context):
        seconds = context.size(3, 1.5, 0.7)
        options = {"in_flight": self.calls, "batch": self.batch}

        def ours():
            answer, _ = _on_daemon(context, seconds, **options)
            return {"tasks/s": answer["rate"], "p99": answer["latency"]["p99_ms"], "p50": answer["latency"]["p50_ms"]}

        def echo():
            with programs.echo_server(context.bin) as target:
                answer = _load(context, target, seconds, **options)
            return {"echo/s": answer["rate"], "echo p99": answer["latency"]["p99_ms"]}

        return [("boxkeeper", ours), ("echo", echo)]


class OpenLoop(Experiment):
    """Fixed arrival rate, latency from the intended time; the loop's lag comes from the daemon's own histogram."""

    name = "admission-open-loop"
    rate = 5000
    rows = (
        Row("admission-open-loop", f"submit latency p99, open loop at {rate}/s", "p99", "ms", reference="echo p99",
            reference_name="gRPC echo at the same arrivals"),
        Row("loop-lag", f"loop lag p99 meanwhile ({rate} submits/s)", "lag", "ms"),
    )

    def sides(self, context):
        seconds = context.size(5, 2, 1)

        def lag(daemon):
            return {"lag": histogram.quantile(histogram.read(daemon.http("/metrics")[1], histogram.LOOP_LAG), 0.99) * 1000}

        def ours():
            answer, extra = _on_daemon(context, seconds, lag, rate=self.rate)
            return {"p99": answer["latency"]["p99_ms"], **extra}

        def echo():
            with programs.echo_server(context.bin) as target:
                return {"echo p99": _load(context, target, seconds, rate=self.rate)["latency"]["p99_ms"]}

        return [("boxkeeper", ours), ("echo", echo)]


EXPERIMENTS = [
    Admission(1, 64, (AtLeast(20000, scaled_by=_CPU_AND_DISK), Ratio(0.5)), (AtLeast(45000, scaled_by=_CPU_AND_DISK), Ratio(0.7))),
    Admission(1, 256, (AtLeast(20000, scaled_by=_CPU_AND_DISK), Ratio(0.5)), (AtLeast(45000, scaled_by=_CPU_AND_DISK), Ratio(0.7))),
    Admission(100, 4, (AtLeast(80000, scaled_by=_CPU_AND_DISK),), (AtLeast(200000, scaled_by=_CPU_AND_DISK),)),
    Admission(100, 8, (AtLeast(80000, scaled_by=_CPU_AND_DISK),), (AtLeast(200000, scaled_by=_CPU_AND_DISK),)),
    OpenLoop(),
]
