"""Entry point of tools/bench: chooses the experiments, runs them, prints the table."""

import argparse
import fnmatch
import os
import signal
import sys

from bench.driver import admission, cloud, experiment, footprint, launch, logs, machine, neighbours, peers, scratch, stats, stores, table
from tests.harness.daemon import BIN

ALL = [*admission.EXPERIMENTS, *launch.EXPERIMENTS, *footprint.EXPERIMENTS, *logs.EXPERIMENTS, *stores.EXPERIMENTS, *neighbours.EXPERIMENTS,
       *cloud.EXPERIMENTS, *peers.EXPERIMENTS]


def _options(arguments):
    parser = argparse.ArgumentParser(prog="tools/bench", description="Measures Boxkeeper beside references and peers on this machine.")
    parser.add_argument("--quick", action="store_true", help="smaller counts and 3 rounds: for work on the code, not for publishing")
    parser.add_argument("--rows", metavar="GLOB", action="append", help="only rows whose name matches; may be repeated")
    parser.add_argument("--rounds", type=int, help="default 5, with --quick 3")
    parser.add_argument("--json", metavar="FILE", help="also write everything as JSON")
    parser.add_argument("-o", "--output", choices=("text", "markdown", "json"), default="text")
    parser.add_argument("--list", action="store_true", help="print the rows' names and what they are")
    parser.add_argument("--dir", default="/var/tmp", help="state folders are made here; its disk is what is measured (default /var/tmp)")
    options = parser.parse_args(arguments)
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def _wanted(options):
    globs = options.rows or ["*"]
    return lambda name: any(fnmatch.fnmatchcase(name, glob) for glob in globs)


def _chosen(wanted):
    return [one for one in ALL if any(wanted(row.name) for row in one.rows)]


def stop_on_sigterm():
    """SIGTERM cleans up as ^C does."""

    def on_signal(_number, _frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, on_signal)


def measure(context, wanted):
    """(results, machine, yardsticks) of the chosen experiments; what was measured until an interrupt is kept."""
    here = machine.describe(context.folder)
    results, interrupted = [], False
    yardsticks = {name: [value] for name, value in machine.yardsticks(context.bin, context.folder).items()}
    for one in _chosen(wanted):
        try:
            found, samples = experiment.run(one, context, wanted)
        except KeyboardInterrupt:
            interrupted = True
            experiment.say("interrupted")
            break
        results += found
        for name, values in samples.items():
            yardsticks.setdefault(name, []).extend(values)
    here["load_average_after"] = list(os.getloadavg())
    return results, here, {name: stats.summary(values) for name, values in yardsticks.items()}, interrupted


def main(arguments=None):
    options = _options(arguments)
    wanted = _wanted(options)
    if not _chosen(wanted):
        print("tools/bench: no row matches; --list shows them", file=sys.stderr)
        return 2
    if options.list:
        for one in _chosen(wanted):
            for row in one.rows:
                if wanted(row.name):
                    print(f"{row.name:32} {row.isolation:11} {row.what}")
        return 0
    stop_on_sigterm()
    rounds = options.rounds or (3 if options.quick else 5)
    with scratch.folder(options.dir) as folder:
        context = experiment.Context(BIN, folder, rounds, options.quick)
        results, here, yardsticks, interrupted = measure(context, wanted)
    settings = {"rounds": rounds, "quick": options.quick, "complete": not interrupted}
    as_json = table.as_json(results, here, yardsticks, settings)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            file.write(as_json + "\n")
    if options.output == "json":
        print(as_json)
    else:
        draw = table.text if options.output == "text" else table.markdown
        print(table.heading(here, yardsticks, rounds) + "\n\n" + draw(results))
    if interrupted:
        return 130
    return 1 if any(result.missing.startswith("failed") for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
