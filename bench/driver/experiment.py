"""Experiments: sides that are measured in turn, round by round, and the rows that come of them."""

import contextlib
import dataclasses
import os
import sys

from bench.driver import machine, rows, stats
from bench.driver.bounds import REFERENCE
from bench.driver.programs import Failed


class Unavailable(Exception):
    """Why an experiment or a peer cannot be measured here."""


@dataclasses.dataclass
class Context:
    """What every experiment is given."""

    bin: str        # folder with the built binaries
    folder: str     # scratch folder, removed at the end
    rounds: int = 5
    quick: bool = False
    short: bool = False  # the guard of tools/test: even smaller than quick

    def program(self, name):
        return os.path.join(self.bin, "bench", name)

    def size(self, full, quick, short=None):
        """How much to measure in this mode."""
        return (quick if short is None else short) if self.short else quick if self.quick else full


class Experiment:
    """One group of rows that share their measurements. Subclasses set `rows` and implement `sides`.

    `open` is entered around all rounds: it starts what all rounds share and puts its clean-up on the stack. It may raise
    Unavailable.
    """

    name = ""
    rows = ()

    def open(self, context, stack):
        """Prepares; default: nothing to prepare."""

    def sides(self, context):
        """[(name, function without arguments that measures once and returns {metric: value})], in the order of a round."""
        raise NotImplementedError


def say(text):
    """A line of progress on stderr."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _needed_yardsticks(experiment):
    """Names of the yardsticks that the experiment's bounds are scaled by."""
    return sorted({name for row in experiment.rows for bound in row.floor + row.goal for name in getattr(bound, "scaled_by", ())})


def _sample_yardsticks(context, names, samples):
    if context.short:  # looks at ratios only
        samples.update({name: [value] for name, value in REFERENCE.items()})
        return
    for name in names:
        samples.setdefault(name, []).append(machine.YARDSTICKS[name](context.bin, context.folder))


def _rounds(experiment, context, metrics, broken, yardsticks):
    """Runs the rounds; a side that fails once is left out from then on, with its reason in `broken`."""
    names = _needed_yardsticks(experiment)
    for number in range(1, context.rounds + 1):
        told = []
        _sample_yardsticks(context, names, yardsticks)
        for side, measure in experiment.sides(context):
            if side in broken:
                continue
            try:
                found = measure()
            except Unavailable as why:
                broken[side] = f"not available: {why}"
                continue
            except (Failed, AssertionError, OSError) as why:
                broken[side] = f"failed in round {number}: {why}"
                say(f"{experiment.name}: {side}: {broken[side]}")
                continue
            for metric, value in found.items():
                metrics.setdefault(metric, []).append(value)
                metrics.setdefault("side of " + metric, side)
            told.append(", ".join(f"{m} {v:.4g}" for m, v in found.items()))
        say(f"{experiment.name} {number}/{context.rounds}: {'; '.join(told)}")


def _why_missing(metric, metrics, broken):
    """Why a metric cannot be used: its side broke, or never gave it. Empty if it can."""
    side = metrics.get("side of " + metric)
    if side in broken:
        return broken[side]
    if metric in metrics:
        return ""
    return broken.get(metric) or "; ".join(broken.values()) or "not measured"


def _result(row, metrics, broken, scale):
    why = _why_missing(row.ours, metrics, broken)
    if why:
        return rows.Result(row, missing=why, yardsticks=scale)
    if not row.reference:
        return rows.result(row, metrics, scale)
    why = _why_missing(row.reference, metrics, broken)
    usable = {metric: samples for metric, samples in metrics.items() if not why or metric != row.reference}
    made = rows.result(row, usable, scale)
    made.reference_missing = why
    return made


def run(experiment, context, wanted):
    """(results, yardsticks' samples): of those of the experiment's rows for which `wanted(row name)`.

    The yardsticks that scale its bounds are taken in each round: what else runs on the machine slows both."""
    metrics, broken, yardsticks, error = {}, {}, {}, ""
    try:
        with contextlib.ExitStack() as stack:
            experiment.open(context, stack)
            _rounds(experiment, context, metrics, broken, yardsticks)
    except Unavailable as why:
        error = f"not available: {why}"
    except (Failed, AssertionError, OSError) as why:
        error = f"failed: {why}"
    if error:
        say(f"{experiment.name}: {error}")
    scale = {name: stats.summary(yardsticks[name]) if name in yardsticks else None for name in REFERENCE}
    results = []
    for row in experiment.rows:
        if wanted(row.name):
            results.append(rows.Result(row, missing=error, yardsticks=scale) if error else _result(row, metrics, broken, scale))
    return results, yardsticks
