"""What the tests of SandboxOperator and @task.sandbox share. They run in an environment with Airflow (docs/airflow.md says how),
whose home is a folder of their own."""

import atexit
import os
import shutil
import sys
import tempfile

_HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.realpath(os.path.join(_HERE, "..", "..", "..", ".."))
for _path in (ROOT, os.path.join(ROOT, "plugins", "airflow", "src"), _HERE):
    if _path not in sys.path:
        sys.path.insert(0, _path)
_HOME = os.environ.get("BOXKEEPER_TESTS_AIRFLOW_HOME")  # in a worker: of the tests that started it
if not _HOME:
    _HOME = tempfile.mkdtemp(prefix="bk-airflow-home-", dir="/tmp")
    atexit.register(shutil.rmtree, _HOME, ignore_errors=True)  # before Airflow registers anything, so after all of it
os.environ.update({
    "AIRFLOW_HOME": _HOME,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME}/airflow.db",
})

import pytest  # noqa: E402

from tests.harness.daemon import Daemon  # noqa: E402

FULL = bool(os.environ.get("BOXKEEPER_FULL"))


def pytest_configure(config):
    config.addinivalue_line("markers", "everyday: of those with a whole Airflow, runs without BOXKEEPER_FULL")


@pytest.fixture(scope="module")
def daemon():
    """A running daemon, shared by the tests of a file."""
    with Daemon({"secrets": {"allow_env": ["BK_TEST_SECRET"]}}, environment={"BK_TEST_SECRET": "of-the-daemon-itself"}) as running:
        yield running.start()
