"""What the end-to-end tests with the real Airflow share."""

import os

import pytest

from tests.harness import airflow_venv, s3_servers, servers

# Each file starts an Airflow of its own, and there are few cores.
FULL = bool(os.environ.get("BOXKEEPER_FULL"))


def pytest_collection_modifyitems(items):
    """Only what is marked `everyday` runs without BOXKEEPER_FULL. Other folders of the same run are none of its business."""
    here = os.path.dirname(os.path.abspath(__file__))
    for item in items:
        if str(item.path).startswith(here + os.sep) and not FULL and "everyday" not in item.keywords:
            item.add_marker(pytest.mark.skip(reason="a scenario of minutes: for BOXKEEPER_FULL"))


def pytest_configure(config):
    config.addinivalue_line("markers", "everyday: runs without BOXKEEPER_FULL")


@pytest.fixture(scope="session", autouse=True)
def _programs():
    """What a stand is made of, made once in .state/; no tests where it cannot be had."""
    try:
        airflow_venv.folder()
        airflow_venv.database()
        s3_servers.any_server().close()
    except servers.Unavailable as why:
        pytest.skip(str(why))
