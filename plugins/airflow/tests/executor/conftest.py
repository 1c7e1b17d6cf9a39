"""What the tests of SandboxExecutor share. They run in an environment with Airflow (docs/airflow.md says how), which this folder's
own AIRFLOW_HOME keeps from any other installation."""

import atexit
import os
import shutil
import sys
import tempfile

_HERE = os.path.dirname(os.path.abspath(__file__))
_ROOT = os.path.realpath(os.path.join(_HERE, "..", "..", "..", ".."))
for _path in (_ROOT, os.path.join(_ROOT, "plugins", "airflow", "src"), _HERE):
    if _path not in sys.path:
        sys.path.insert(0, _path)
_HOME = tempfile.mkdtemp(prefix="bk-airflow-home-", dir="/tmp")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)  # before Airflow registers anything, so after all of it
os.environ.update({
    "AIRFLOW_HOME": _HOME,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-of-these-tests-that-is-long-enough",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME}/airflow.db",
})

import pytest  # noqa: E402

from tests.harness.daemon import Daemon  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "everyday: a test with a daemon that runs without BOXKEEPER_FULL")


def pytest_collection_modifyitems(items):
    """Of the tests with a daemon only those marked `everyday` run without BOXKEEPER_FULL."""
    for item in items:
        if {"stand", "daemon"} & set(item.fixturenames) and "everyday" not in item.keywords and not os.environ.get("BOXKEEPER_FULL"):
            item.add_marker(pytest.mark.skip(reason="for BOXKEEPER_FULL"))


@pytest.fixture
def daemon():
    """A running daemon whose tasks end up in a folder that is removed."""
    with Daemon() as running:
        yield running.start()


@pytest.fixture
def stand(tmp_path):
    """Executors and daemons of one test; leaving stops them."""
    from executor_stand import Stand

    with Stand(str(tmp_path)) as made:
        yield made
