"""Entry point of tools/test: orders the steps, prints the table. usage: see tools/test."""

import argparse
import sys
import time

from tools.checks import arrows, bazel, bench, end_to_end, fuzzing, lint, plugins, simulation, step, text

_BINARIES = ["//daemon:boxkeeperd", "//cli:boxctl", "//launcher:boxlaunch"]
_BENCH = "//bench:all"
_PROBE = "//tests/breakout:probe"
_FAULTS = "//tests/faults:all"
_LOG_STORES = "//tests/logstores:all"
_FAKECLOUD = "//providers/fakecloud:fakecloudd"
_SIM = "//tests/sim:sim"
_TIDY_SECONDS = 60
# Folders that run together -> workers per processor. Most tests wait for daemons: those of tests/faults use a sixth of a processor.
_END_TO_END = {"tests/e2e": 2, "tests/crash tests/fakecloud tests/logstores": 3, "tests/faults": 3, "tests/breakout": 2}
# Tests too long for the sanitizers: the simulation, and what says so by its size.
_LONG = 'attr("size", "large|enormous", tests(//...))'


def _lint_steps(generated, files, budget):
    return [lint.clang_format, lint.shellcheck, lint.pyflakes, plugins.stubs, text.house_rules, text.links, arrows.dependencies, arrows.python_imports,
            lambda: lint.clang_tidy(files, generated(), budget)]


def _quick():
    unit = bazel.labels(f"tests(//...) except ({_LONG})")
    yield lambda: bazel.test("unit tests", unit, "")
    yield from _lint_steps(lambda: bazel.output_folder(""), step.changed_files(), 30)


def _whole(full):
    long_tests = bazel.labels(_LONG)
    unit = bazel.labels(f"tests(//...) except ({_LONG})")
    e2e_env = {"BOXKEEPER_FULL": "1"} if full else {}
    # Only what runs optimised: unit tests are compiled once, under the sanitizers.
    yield lambda: bazel.build(_BINARIES + [_BENCH, _PROBE, _FAULTS, _LOG_STORES, _FAKECLOUD, _SIM] + long_tests, "opt")
    yield from _lint_steps(lambda: bazel.output_folder("opt"), step.tracked_files(), None if full else _TIDY_SECONDS)
    yield lambda: bazel.test("unit tests (asan)", unit, "asan", e2e_env)
    # At length optimised, which is a build of its own; else with what the unit tests have built.
    yield lambda: fuzzing.run("fuzz", 60) if full else fuzzing.run("asan", 4)
    yield lambda: bazel.test("long tests (opt)", long_tests, "opt", e2e_env)
    binaries = bazel.output_folder("opt")
    yield lambda: simulation.seeds(binaries, full)
    yield lambda: simulation.mutations(binaries, full)
    for folder, per_core in _END_TO_END.items():
        yield lambda folder=folder, per_core=per_core: end_to_end.pytest(f"{folder} (opt)", folder, {**e2e_env, "BOXKEEPER_BIN": binaries},
                                                                         per_core=1 if full else per_core)
    yield lambda: end_to_end.pytest("plugins/client (opt)", "plugins/client/tests", {**e2e_env, "BOXKEEPER_BIN": binaries})
    for folder in end_to_end.airflow_parts():
        for version in end_to_end.airflow_versions(full):
            yield lambda folder=folder, version=version: end_to_end.inside_airflow(folder, {**e2e_env, "BOXKEEPER_BIN": binaries}, version)
    yield lambda: end_to_end.pytest("tests/airflow (opt)", "tests/airflow", {**e2e_env, "BOXKEEPER_BIN": binaries}, whole_files=True)
    yield lambda: end_to_end.pytest("tests/bench", "tests/bench", {"BOXKEEPER_BIN": binaries})
    yield lambda: bench.guard(binaries)
    yield end_to_end.demo
    if full:
        yield plugins.types
        yield lambda: bazel.build(_BINARIES, "asan")
        sanitized = {"BOXKEEPER_BIN": bazel.output_folder("asan"), "BOXKEEPER_SANITIZED": "1"}
        for folder in ("tests/e2e", "tests/crash"):
            yield lambda folder=folder: end_to_end.pytest(f"{folder} (asan)", folder, sanitized)


def _table(results):
    width = max(len(r.name) for r in results)
    print(f"\n{'what':{width}}  {'passed':>6}  {'failed':>6}  {'seconds':>7}")
    for r in results:
        print(f"{r.name:{width}}  {r.passed:6}  {r.failed:6}  {r.seconds:7.1f}{'' if not r.failed else '  <-- failed'}")
    for r in results:
        for note in r.notes:
            print(f"note: {note}")


def main():
    parser = argparse.ArgumentParser(prog="tools/test")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--quick", action="store_true", help="linters on changed files, unit tests without sanitizers")
    mode.add_argument("--full", action="store_true", help="all kill rounds, sanitizers end to end, soaks")
    options = parser.parse_args()
    results = []
    for run in _quick() if options.quick else _whole(options.full):
        started = time.monotonic()
        result = run()
        result.seconds = time.monotonic() - started
        print(f"== {result.name}: {result.passed} passed, {result.failed} failed, {result.seconds:.1f} s", flush=True)
        results.append(result)
    _table(results)
    passed, failed = sum(r.passed for r in results), sum(r.failed for r in results)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
