"""Creates at a remote API (FakeCloud as a process): how much of its latency the runtime leaves, and how it keeps below a limit."""

import contextlib
import os
import subprocess

from bench.driver import programs
from bench.driver.bounds import AtLeast, AtMost, Ratio
from bench.driver.experiment import Experiment
from bench.driver.rows import Row

_LATENCY_S = 0.1


@contextlib.contextmanager
def _cloud(context, script):
    """URL of a fresh FakeCloud that obeys `script`."""
    path = os.path.join(context.folder, "fakecloud.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(script)
    program = os.path.join(context.bin, "providers", "fakecloud", "fakecloudd")
    with programs.background([program, "--script", path], stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        if not url:
            raise programs.Failed("fakecloudd did not start")
        yield url


def _load(context, script, in_flight, warm_up, seconds):
    with _cloud(context, script) as url:
        found = programs.run_json([context.program("cloud_load"), "--url", url, "--in_flight", str(in_flight),
                                   "--warm_up", str(warm_up), "--seconds", str(seconds)])
    if found["failed"]:
        raise programs.Failed(f"{found['failed']} creates failed")
    return found


def _latency_row(in_flight):
    return Row(f"cloud-creates-{in_flight}", f"creates at an API with 100 ms latency, {in_flight} in flight", f"creates {in_flight}", "/s", "remote",
               f"ideal {in_flight}", "in flight / latency", floor=(Ratio(0.9),), goal=(Ratio(0.95),))


class CloudCreates(Experiment):
    """The adapter, the provider runtime and the HTTP client against a server in another process."""

    name = "cloud-creates"
    in_flight = (64, 256)
    rows = tuple(_latency_row(n) for n in in_flight)

    def _measure(self, context, in_flight):
        script = "faults: [{verbs: [create], fault: latency, min: 100ms}]"
        found = _load(context, script, in_flight, 1, context.size(5, 3, 2))
        return {f"creates {in_flight}": found["creates_per_s"], f"ideal {in_flight}": in_flight / _LATENCY_S}

    def sides(self, context):
        return [(f"{n} in flight", lambda n=n: self._measure(context, n)) for n in self.in_flight]


class CloudLimit(Experiment):
    """An API that takes 20 creates a second and answers 429 to the rest: 10 s to learn it, then 60 s are counted."""

    name = "cloud-limit"
    rows = (
        Row("cloud-429-refused", "refused of the creates at a limit of 20/s, 60 s after the first 10 s", "refused", "%", "remote",
            floor=(AtMost(2, "%"),)),
        Row("cloud-429-rate", "… creates a second meanwhile", "used", "/s", "remote", floor=(AtLeast(15, "/s"),)),
    )

    def _measure(self, context):
        script = "{rate_limit: {per_second: 20}, faults: [{verbs: [create], fault: latency, min: 100ms}]}"
        found = _load(context, script, 32, 10, context.size(60, 60, 20))
        return {"refused": 100 * found["refused_share"], "used": found["creates_per_s"]}

    def sides(self, context):
        return [("429", lambda: self._measure(context))]


EXPERIMENTS = [CloudCreates(), CloudLimit()]
