"""One DAG of scenarios, run by dag.test() in the real Airflow with a real daemon."""

import json
import os

import pytest
from conftest import FULL
from dag_runs import DAGS, VERSION, Home

from tests.harness import airflow_venv
from tests.harness.client import end
from tests.harness.daemon import Daemon

PASSWORD, VARIABLE = "the-password-of-kept", "the-variable-of-kept"
pytestmark = pytest.mark.skipif(not FULL or VERSION != airflow_venv.VERSION, reason="half a minute, with one version: for BOXKEEPER_FULL")


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """(result, home, the daemon's tasks by task id), after one run."""
    folder = tmp_path_factory.mktemp("home")
    connection = json.dumps({"conn_type": "http", "password": PASSWORD})
    with Daemon() as daemon:
        home = Home(folder, daemon.start(), AIRFLOW_CONN_KEPT=connection, AIRFLOW_VAR_KEPT=VARIABLE)
        result = home.run(os.path.join(DAGS, "scenarios.py"), "scenarios")
        tasks = {}
        for task in reversed(daemon.client.list()):
            tasks.setdefault(task.key.name, []).append(task)
        yield result, home, tasks


def test_states(played):
    result, _, _ = played
    assert result.states == {
        "times_out": "failed", "times_out_deferred": "failed", "retried": "success", "refused": "failed", "skipped": "skipped",
        "deferred_fails": "failed", "secret[0]": "success", "secret[1]": "success", "secret[2]": "success", "secret_file": "success",
        "several": "success", "plain": "success", "doubled[0]": "success", "doubled[1]": "success", "doubled[2]": "success"}


def test_a_timeout_of_airflows_ends_the_sandbox(played):
    result, _, tasks = played
    for name in ("times_out", "times_out_deferred"):
        (task,) = tasks[name]
        assert end(task)[:2] == ("CANCELLED", "CANCELLED"), name
    assert "the execution_timeout of 0:00:02 has passed" in result.output and "begun" in result.output


def test_tries(played):
    _, _, tasks = played
    assert [end(task)[0] for task in tasks["retried"]] == ["FAILED", "SUCCEEDED"]
    assert "refused" not in tasks, "nothing is stored of it"


def test_values(played):
    result, _, _ = played
    assert result.xcoms["several"] == {"return_value": {"one": 1, "two": {"deep": [2]}}, "one": 1, "two": {"deep": [2]}}
    assert result.values["plain"] == [1, [2, 4, 6], {"deep": [2]}, 6] and result.values["retried"] == "try 2"
    assert "the command exited with code 4" in result.output and "the reason" in result.output


def test_secrets_are_nowhere(played):
    result, home, _ = played
    assert [result.values[f"secret[{i}]"] for i in range(3)] == ["*" * 20, "*" * 20, VARIABLE.upper()]
    assert result.values["secret_file"] == "***"
    with open(os.path.join(home.folder, "airflow.db"), "rb") as file:
        database = file.read()
    for secret in (PASSWORD, VARIABLE):
        assert secret not in result.output and secret.encode() not in database
    assert b"conn.kept.password" in database, "the serialized DAG has the template, and not its value"
