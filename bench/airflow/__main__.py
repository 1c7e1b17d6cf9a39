"""Measures SandboxExecutor in a real Airflow beside a raw loop of the same command and LocalExecutor. docs/performance.md, "Airflow".

    BOXKEEPER_BIN=... python3 -m bench.airflow [--tasks 200] [--parallelism N] [--rounds N] [--sides raw,sandbox,local,bubblewrap]
"""

import argparse
import os
import statistics
import sys

from bench.airflow import sides
from tests.harness import airflow_venv

_SIDES = {
    "raw": ("raw loop of Popen", sides.raw),
    "sandbox": ("SandboxExecutor, isolation none", lambda count, parallelism: sides.sandboxed(count, parallelism, "none")),
    "bubblewrap": ("SandboxExecutor, bubblewrap", lambda count, parallelism: sides.sandboxed(count, parallelism, "bubblewrap")),
    "local": ("LocalExecutor", sides.local),
}
# From one moment to another of one task instance; which are the daemon's.
_SPANS = [
    ("queued → running, all of it", "queued", "running"),
    ("  queued → accepted: scheduler's loop, executor, relay", "queued", "accepted"),
    ("  accepted → exec: the daemon, with the wait for a free place", "accepted", "started"),
    ("  exec → running: interpreter, imports, API server", "started", "running"),
    ("ended → exit: the runner leaves", "ended", "exited"),
    ("exit → told: the daemon", "exited", "told"),
    ("exit → heard by the scheduler", "exited", "heard"),
]


def _milliseconds(runs, begin, end):
    """Of every task instance of the runs, ascending; empty if the side does not have both moments."""
    pairs = [(getattr(one, begin), getattr(one, end)) for run in runs for one in run.moments]
    return sorted((last - first) * 1000 for first, last in pairs if first is not None and last is not None)


def _percentile(values, share):
    return values[min(len(values) - 1, int(len(values) * share))]


def _start_delays(runs, parallelism):
    """Accepted (or the place before it was free) to exec, in ms, ascending: what the daemon itself adds."""
    found = []
    for run in runs:
        ends = sorted(one.exited for one in run.moments)
        for rank, one in enumerate(sorted(run.moments, key=lambda moment: moment.started)):
            free = ends[rank - parallelism] if rank >= parallelism else 0
            found.append((one.started - max(one.accepted, free)) * 1000)
    return sorted(found)


def _print_throughput(results):
    raw = results.get("raw")
    print(f"\n{'side':34}{'tasks/s':>9}  {'rounds':24}{'÷ raw, paired':>14}")
    for name, runs in results.items():
        rates = [run.tasks_per_second for run in runs]
        ratio = statistics.median(mine / other.tasks_per_second for mine, other in zip(rates, raw)) if raw else float("nan")
        print(f"{_SIDES[name][0]:34}{statistics.median(rates):9.2f}  {' '.join(f'{rate:.2f}' for rate in rates):24}{ratio:14.2f}")


def _print_spans(name, runs, parallelism):
    print(f"\n{_SIDES[name][0]:66}{'p50 ms':>10}{'p99 ms':>10}")
    rows = [(what, _milliseconds(runs, begin, end)) for what, begin, end in _SPANS]
    if runs[0].moments[0].accepted is not None:
        rows.insert(3, ("  accepted and a place free → exec: the daemon alone", _start_delays(runs, parallelism)))
    rows.append(("processor time of a sandbox", sorted(one.processor * 1000 for run in runs for one in run.moments if one.processor)))
    for what, values in rows:
        if values:
            print(f"{what:66}{_percentile(values, 0.5):10.1f}{_percentile(values, 0.99):10.1f}")


def main():
    parser = argparse.ArgumentParser(prog="python3 -m bench.airflow")
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--parallelism", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--sides", default="raw,sandbox,local")
    options = parser.parse_args()
    chosen = options.sides.split(",")
    results = {name: [] for name in chosen}
    for _ in range(options.rounds):
        for name in chosen:
            results[name].append(_SIDES[name][1](options.tasks, options.parallelism))
            print(f"{_SIDES[name][0]}: {results[name][-1].tasks_per_second:.2f} tasks/s", file=sys.stderr, flush=True)
    print(f"{options.tasks} mapped tasks, {options.parallelism} at a time, {options.rounds} rounds, {os.cpu_count()} cores")
    _print_throughput(results)
    for name, runs in results.items():
        _print_spans(name, runs, options.parallelism)
    print()
    for what, seconds in sides.start_seconds(os.path.join(airflow_venv.folder(), "bin", "python")).items():
        print(f"{what:66}{seconds * 1000:10.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
