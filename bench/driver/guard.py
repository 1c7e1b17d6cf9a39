"""The short version for tools/test: ratios only, far below the floors, so that a busy machine does not fail it and a
regression of a factor does. Prints one line for each bound, `ok` or `FAILED`; exit code 1 if one failed.

usage: BOXKEEPER_BIN=FOLDER python3 -m bench.driver.guard
"""

import argparse
import sys

from bench.driver import admission, experiment, footprint, launch, logs, main, scratch
from tests.harness.daemon import BIN

ROUNDS = 3
# Row -> least ratio to its reference. About a quarter of what a quiet machine gives (docs/performance.md): a busy one must not fail it.
LEAST_RATIO = {
    "admission-unary-64": 0.12,
    "admission-batch-4": 0.025,
    "true-none-4": 0.03,
    "logs": 0.2,
}
# Row -> most that its median may be. Only what the machine's load does not change.
AT_MOST = {"memory-queued": 2.5}
_EXPERIMENTS = [*admission.EXPERIMENTS, *launch.EXPERIMENTS, *footprint.EXPERIMENTS, *logs.EXPERIMENTS]


def judge(result):
    """(whether the row's bound holds, what to say) of a measured row."""
    name = result.row.name
    if result.missing or result.reference_missing:
        return False, f"{name}: {result.missing or result.reference_missing}"
    if name in AT_MOST:
        return result.ours.median <= AT_MOST[name], f"{name}: {result.ours.median:.2f} {result.row.unit}, at most {AT_MOST[name]:g}"
    ratio = result.ratio.median
    return ratio >= LEAST_RATIO[name], f"{name}: {ratio:.3f} × {result.row.reference_name}, at least {LEAST_RATIO[name]:g}"


def run(context):
    """Judgements of all guarded rows."""
    def guarded(name):
        return name in LEAST_RATIO or name in AT_MOST

    judgements = []
    for one in _EXPERIMENTS:
        if any(guarded(row.name) for row in one.rows):
            results, _ = experiment.run(one, context, guarded)
            judgements += [judge(result) for result in results]
    return judgements


def entry():
    parser = argparse.ArgumentParser(prog="bench.driver.guard")
    parser.add_argument("--dir", default="/var/tmp")
    options = parser.parse_args()
    main.stop_on_sigterm()
    with scratch.folder(options.dir) as folder:
        judgements = run(experiment.Context(BIN, folder, ROUNDS, short=True))
    for good, what in judgements:
        print(f"{'ok' if good else 'FAILED'} {what}")
    return 0 if all(good for good, _ in judgements) else 1


if __name__ == "__main__":
    sys.exit(entry())
