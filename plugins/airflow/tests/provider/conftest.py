"""What the tests of the provider's information and of the hook share. They run in an environment with Airflow and the installed
package (docs/airflow.md says how); AIRFLOW_HOME is a folder of their own."""

import atexit
import os
import shutil
import sys
import tempfile

_ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", ".."))
if _ROOT not in sys.path:
    sys.path.append(_ROOT)  # for tests.harness; the package is the installed one
_HOME = tempfile.mkdtemp(prefix="bk-airflow-provider-", dir="/tmp")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)  # first, so last: Airflow writes until its own atexit
os.environ.update({
    "AIRFLOW_HOME": _HOME,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME}/airflow.db",
})

import pytest  # noqa: E402

from tests.harness.daemon import Daemon  # noqa: E402


@pytest.fixture(scope="session")
def daemon():
    """A running daemon."""
    with Daemon() as running:
        yield running.start()
