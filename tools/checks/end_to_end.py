"""The Python tests against real binaries (tests/e2e, tests/crash, plugins/...), and the demo."""

import os
import re
import tempfile
import xml.etree.ElementTree as ElementTree

from tools.checks import step


def pytest(name, folders, env, whole_files=False, python="/usr/bin/python3", per_core=1):
    """Runs folders, separated by blanks, with one pytest, `per_core` workers on each core; returns its counts. `env` says which binaries to
    use. `whole_files`: tests of one file share what is dear to start, so that one worker gets them all. `python`: the interpreter."""
    result = step.Result(name)
    folders = [folder for folder in folders.split() if os.path.isdir(os.path.join(step.ROOT, folder))]
    if not folders:
        return result
    with tempfile.TemporaryDirectory() as scratch:
        report = os.path.join(scratch, "report.xml")
        code, _ = step.run([python, "-m", "pytest", "-q", "-n", str(per_core * step.cores()), "--dist=loadfile" if whole_files else "--dist=load",
                            "-p", "no:cacheprovider", f"--junitxml={report}", *folders], env=env)
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


def airflow_parts():
    """The folders of plugins/airflow/tests: each is a run of its own, with an AIRFLOW_HOME of its own."""
    return sorted({os.path.dirname(f) for f in step.tracked_files() if re.fullmatch(r"plugins/airflow/tests/[^/]+/test_[^/]+\.py", f)})


def airflow_versions(full):
    """Those to try: the one that everything is tried with, or all of them."""
    from tests.harness import airflow_venv  # generates stubs: not for those who only lint

    return airflow_venv.VERSIONS if full else (airflow_venv.VERSION,)


def inside_airflow(folder, env, version):
    """Runs one folder with the Python of an environment with Airflow."""
    from tests.harness import airflow_venv, servers

    name = f"{folder} (Airflow {version})"
    try:
        python = os.path.join(airflow_venv.folder(version), "bin", "python")
    except servers.Unavailable as why:
        return step.Result(name, notes=[f"{name}: skipped: {why}"])
    return pytest(name, folder, env, whole_files=True, python=python)


def demo():
    """tools/demo, which judges itself."""
    code, _ = step.run(["tools/demo"])
    return step.Result("tools/demo", passed=int(code == 0), failed=int(code != 0))
