"""Building and testing with Bazel; counts test cases from the XML that each test leaves."""

import os
import xml.etree.ElementTree as ElementTree

from tools.checks import step


def _flags(config):
    """Flags of a configuration of .bazelrc; the empty one is Bazel's own: quick to compile, slow to run."""
    return [f"--config={config}"] if config else []


def build(targets, config):
    """Builds `targets` in `config`; a failed build is one failure."""
    code, _ = step.run(["bazel", "build", *_flags(config), "--show_result=0", "--noshow_progress", "--keep_going", *targets])
    return step.Result(f"build ({config})", passed=int(code == 0), failed=int(code != 0))


def output_folder(config, what="bazel-bin"):
    """Folder of this configuration's outputs; the bazel-* links point at whatever was built last."""
    code, output = step.run(["bazel", "info", *_flags(config), what], quiet=True)
    return output.splitlines()[-1] if code == 0 and output else ""


def labels(expression):
    """Labels of a query, sorted; empty where nothing matches."""
    _, output = step.run(["bazel", "query", "--keep_going", "--noshow_progress", expression], quiet=True)
    return sorted(line for line in output.splitlines() if line.startswith("//"))


def _cases(path):
    """(passed, failed) of one test.xml; None if the test left none."""
    try:
        suites = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):
        return None
    failed = sum(1 for case in suites.iter("testcase") if case.find("failure") is not None or case.find("error") is not None)
    return len(list(suites.iter("testcase"))) - failed, failed


def test(name, targets, config, env=None):
    """Runs `targets`; counts their test cases. A target that breaks without saying which case counts as one failure."""
    result = step.Result(name)
    if not targets:
        return result
    # Built first, with one job per processor. Then more at once than there are processors: the slow tests mostly wait.
    build(targets, config)
    jobs = 2 * step.cores()
    command = ["bazel", "test", *_flags(config), "--noshow_progress", "--keep_going", "--test_summary=terse", f"--jobs={jobs}",
               f"--local_test_jobs={jobs}"]
    command += [f"--test_env={key}={value}" for key, value in (env or {}).items()]
    code, output = step.run(command + targets)
    broken = {line.split()[0] for line in output.splitlines()
              if line.startswith("//") and any(word in line for word in (" FAILED", " TIMEOUT", " NO STATUS"))}
    logs = output_folder(config, "bazel-testlogs")
    for label in targets:
        cases = _cases(os.path.join(logs, label[2:].replace(":", "/"), "test.xml"))
        if cases is None or (label in broken and cases[1] == 0):
            cases = (0, 1) if code != 0 else (1, 0)
        result.passed += cases[0]
        result.failed += cases[1]
    if code != 0 and result.failed == 0:
        result.failed = 1
    return result
