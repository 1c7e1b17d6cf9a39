"""The simulation: thousands of seeds, some of them twice, and every mutation must be found."""

import re

from tools.checks import step

_SEEDS = 2_000
_SEEDS_FULL = 20_000


def seeds(binaries, full):
    """Seeds without a failure; every rare path must be among what they reached. One case for each seed."""
    count = _SEEDS_FULL if full else _SEEDS
    _, output = step.run([f"{binaries}/tests/sim/sim", "--seeds", str(count), "--twice_every", "10"])
    return _result("simulation", r"(\d+) passed, (\d+) failed, (\d+) rare paths never reached", output)


def mutations(binaries, _full):
    """Each realistic bug, switched on, must break an invariant. One case for each bug."""
    _, output = step.run([f"{binaries}/tests/sim/sim", "--mutations"])
    return _result("mutations", r"(\d+) mutations found, (\d+) not found", output)


def _result(name, pattern, output):
    counts = re.search(pattern, output)
    if counts is None:
        return step.Result(name, failed=1)
    passed, *failed = (int(count) for count in counts.groups())
    return step.Result(name, passed=passed, failed=sum(failed))
