"""The Python packages under plugins/: what is committed there and made from elsewhere."""

import filecmp
import os
import tempfile

from tools.checks import step

STUBS = "plugins/client/src/boxkeeper/v1"


def stubs():
    """The committed Python stubs are what tools/python_stubs makes of proto/."""
    with tempfile.TemporaryDirectory() as scratch:
        code, output = step.run(["tools/python_stubs", scratch], quiet=True)
        if code != 0:
            return step.findings("python stubs", output.splitlines() or [f"tools/python_stubs: exit {code}"])
        made = os.path.join(scratch, "boxkeeper", "v1")
        kept = os.path.join(step.ROOT, STUBS)
        names = sorted({f for folder in (made, kept) for f in os.listdir(folder) if "_pb2" in f and not f.endswith(".pyc")})
        _, different, missing = filecmp.cmpfiles(made, kept, names, shallow=False)
    return step.findings("python stubs", [f"{STUBS}/{f}: differs from proto/: run tools/python_stubs --commit"
                                          for f in sorted(different + missing)])


def types():
    """mypy on the provider package and the client, in an environment with Airflow."""
    from tests.harness import airflow_venv, servers, venvs  # generates stubs: not for those who only lint

    try:
        tool = venvs.pinned("mypy", os.path.join(step.ROOT, "tools", "checks", "mypy.txt"))
        airflow = airflow_venv.folder()
    except servers.Unavailable as why:
        return step.Result("mypy", notes=[f"mypy: skipped: {why}"])
    code, output = step.run([os.path.join(tool, "bin", "python"), "-m", "mypy", "--config-file", "plugins/mypy.ini", "--python-executable",
                             os.path.join(airflow, "bin", "python"), "--cache-dir", ".state/mypy", "plugins/airflow/src/boxkeeper"], quiet=True)
    return step.findings("mypy", output.splitlines() if code else [])
