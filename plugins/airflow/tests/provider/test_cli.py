"""The commands that a user types: `airflow providers`, `airflow connections`, `airflow config`."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.harness import airflow_venv

pytestmark = pytest.mark.skipif(not os.environ.get("BOXKEEPER_FULL"), reason="each command takes seconds: for BOXKEEPER_FULL")


def _airflow(*arguments, **environment):
    """What an Airflow command says on standard output."""
    done = subprocess.run([sys.executable, "-m", "airflow", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": "", **environment}, cwd="/", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("command, words", [
    (["providers", "get", "airflow-provider-boxkeeper"], "0.1.0"),
    (["providers", "hooks"], "boxkeeper.airflow.hooks.sandbox.SandboxHook"),
    (["providers", "executors"], "boxkeeper.airflow.executors.sandbox_executor.SandboxExecutor"),
    (["providers", "triggers"], "boxkeeper.airflow.triggers.sandbox"),
    (["config", "get-value", "boxkeeper", "address"], "127.0.0.1:7433"),
    (["config", "list", "--section", "boxkeeper"], "events_per_sync"),
])
def test_airflow_shows(command, words):
    assert words in _airflow(*command)


def test_no_command_warns_of_us():
    assert "boxkeeper" not in _airflow("version").lower()


def test_the_check_is_a_command_where_the_executor_is_configured(daemon):
    said = _airflow("boxkeeper", "check", "--validate-only", AIRFLOW__BOXKEEPER__ADDRESS=f"unix:{daemon.socket}",
                    AIRFLOW__CORE__EXECUTOR="boxkeeper.airflow.executors.sandbox_executor.SandboxExecutor")
    assert "the daemon would run it at provider local" in said


def test_a_connection_is_added_and_tested(daemon):
    import airflow

    try:
        shutil.copy(airflow_venv.database(airflow.__version__), os.path.join(os.environ["AIRFLOW_HOME"], "airflow.db"))
    except airflow_venv.servers.Unavailable as why:
        pytest.skip(str(why))
    _airflow("connections", "add", "sandboxes", "--conn-json", json.dumps({"conn_type": "boxkeeper", "host": daemon.socket, "extra": {"timeout": 5}}))
    assert "Connection success!" in _airflow("connections", "test", "sandboxes")
