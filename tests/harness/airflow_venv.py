"""Virtual environments with Airflow (tests/airflow/airflow-<version>.txt), each made once in .state/ of the tree, and the provider package."""

import glob
import os
import shutil
import subprocess
import time

from tests.harness import servers, venvs
from tests.harness.stubs import ROOT

# The version that everything is tried with; the others are for the contract tests of the executor, with BOXKEEPER_FULL.
VERSION = "3.3.2"
VERSIONS = ("3.0.6", "3.1.8", "3.2.2", VERSION)
_PACKAGE = os.path.join(ROOT, "plugins", "airflow")
_PYTEST = os.path.join(ROOT, "tests", "airflow", "pytest.txt")
_KEPT_SECONDS = 24 * 3600


def requirements(version=VERSION):
    """The pinned packages of a version."""
    return os.path.join(ROOT, "tests", "airflow", f"airflow-{version}.txt")


def _package_files():
    """The files that a wheel of the provider package is made of."""
    found = []
    for folder, folders, names in os.walk(_PACKAGE, followlinks=True):
        folders[:] = sorted(name for name in folders if name not in ("tests", "build", "dist", "__pycache__") and not name.endswith(".egg-info"))
        found += [os.path.join(folder, name) for name in sorted(names) if not name.endswith(".pyc")]
    return found


def _bare(version):
    """Folder of the environment without the provider package; about half a minute and 250 MB at the first call."""
    return venvs.pinned(f"airflow-{version}", requirements(version), _PYTEST)


def folder(version=VERSION):
    """Folder of the environment with the provider package as it is in the tree now. Unavailable if it cannot be made.

    A changed package gives another environment; its files are links to those of the bare one, so that it takes seconds."""
    bare = _bare(version)
    if not os.path.isfile(os.path.join(_PACKAGE, "pyproject.toml")):
        return bare
    complete = f"{bare}-{venvs.digest(_package_files())}"
    with servers.made_once(complete) as fresh:
        if fresh is not None:
            subprocess.run(["cp", "--archive", "--link", f"{bare}/.", fresh], check=True)
            venvs.install(fresh, _PACKAGE)
            os.chmod(fresh, 0o755)
    os.utime(complete)
    _forget_unused(bare)
    return complete


def _forget_unused(bare):
    """Removes environments of earlier states of the package that nobody has asked for since a day."""
    for path in glob.glob(f"{bare}-*"):
        if os.path.isdir(path) and os.stat(path).st_mtime < time.time() - _KEPT_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def database(version=VERSION):
    """An SQLite file with the schema of a version and nothing in it, to be copied; made once."""
    path = os.path.join(servers.STATE, f"airflow-db-{version}-{venvs.digest([requirements(version)])}")
    with servers.made_once(path) as fresh:
        if fresh is not None:
            environment = {"PATH": os.environ["PATH"], "AIRFLOW_HOME": fresh, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
            servers.run([os.path.join(_bare(version), "bin", "python"), "-m", "airflow", "db", "migrate"], "airflow db migrate",
                        env=environment, timeout=300)
    return os.path.join(path, "airflow.db")
