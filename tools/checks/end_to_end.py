"""The Python tests in tests/e2e and tests/crash against real binaries, and the demo."""

import os
import tempfile
import xml.etree.ElementTree as ElementTree

from tools.checks import step


def pytest(name, folder, env, whole_files=False):
    """Runs one folder with pytest, one worker per core; returns its counts. `env` says which binaries to use. `whole_files`: tests
    of one file share what is dear to start, so that one worker gets them all."""
    result = step.Result(name)
    if not os.path.isdir(os.path.join(step.ROOT, folder)):
        return result
    with tempfile.TemporaryDirectory() as scratch:
        report = os.path.join(scratch, "report.xml")
        code, _ = step.run(["/usr/bin/python3", "-m", "pytest", "-q", "-n", str(step.cores()), "--dist=loadfile" if whole_files else "--dist=load",
                            "-p", "no:cacheprovider", f"--junitxml={report}", folder], env=env)
        try:
            suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
        except (OSError, ElementTree.ParseError):
            suites = []
    for suite in suites:
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        result.failed += failed
        result.passed += int(suite.get("tests", 0)) - failed - int(suite.get("skipped", 0))
        skipped = int(suite.get("skipped", 0))
        if skipped:
            result.notes.append(f"{name}: {skipped} skipped")
    if code != 0 and result.failed == 0:
        result.failed = 1
    return result


def demo():
    """tools/demo, which judges itself."""
    code, _ = step.run(["tools/demo"])
    return step.Result("tools/demo", passed=int(code == 0), failed=int(code != 0))
