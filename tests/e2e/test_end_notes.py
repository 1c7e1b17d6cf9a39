"""Why a task ended stands in its log, in the `airflow` layout: the last record, unless it succeeded."""

import glob
import json
import os

import pytest

from tests.harness.client import end, forever, spec
from tests.harness.daemon import Daemon
from tests.harness.stubs import executor_pb2

LOG_COMPLETE = executor_pb2.WaitTaskRequest.LOG_COMPLETE


@pytest.fixture(scope="module")
def airflow():
    """A daemon whose logs are Airflow's, shared by tests that disturb nobody."""
    with Daemon({"logs": {"layout": "airflow"}}) as running:
        yield running.start()


def _records(daemon, path):
    """The records of all pieces of a log, in order of their names."""
    records = []
    for name in sorted(glob.glob(os.path.join(daemon.folder, "logs", path) + ".*")):
        with open(name, encoding="utf-8") as file:
            records += [json.loads(line) for line in file]
    return records


def _shown(daemon, path):
    """(logger, event) as Airflow orders them."""
    records = sorted(_records(daemon, path), key=lambda record: record["timestamp"])
    return [(record["logger"], record["event"]) for record in records]


@pytest.mark.parametrize(("task", "output", "note"), [
    ({"shell": "echo works"}, ["works"], None),
    ({"shell": "echo fails; exit 3"}, ["fails"], "FAILED/EXIT_CODE: exited with code 3"),
    ({"shell": "echo dies; kill -9 $$"}, ["dies"], "FAILED/SIGNAL: killed by signal 9"),
    ({"argv": ["/no/such/program"]}, [], "FAILED/START_FAILED: "),
    ({"argv": forever(), "override": {"timeout": "300ms", "grace": "1s"}}, [], "FAILED/RUN_TIMEOUT: "),
    ({"argv": ["true"], "override": {"start_deadline": "2020-01-01T00:00:00Z"}}, [], "FAILED/EXPIRED: "),
])
def test_the_end_is_said_in_the_log(airflow, task, output, note):
    ended = airflow.client.wait(airflow.client.submit(spec(**task)), LOG_COMPLETE)
    shown = _shown(airflow, ended.log.path)
    assert [event for logger, event in shown if logger == "task.stdout"] == output
    if note is None:
        assert len(shown) == len(output)
        return
    assert len(shown) == len(output) + 1
    assert shown[-1][0] == "boxkeeper" and shown[-1][1].startswith(note), shown
    last = _records(airflow, ended.log.path)[-1]
    assert last["level"] == "error" and last["reason"] == end(ended)[1]
    # It is not the command's output.
    assert airflow.client.log(ended.id).decode().splitlines() == output


def test_a_cancelled_task_says_by_whom(airflow):
    task_id = airflow.client.submit(spec(argv=forever()))
    airflow.client.wait_running(task_id)
    airflow.client.cancel(task_id, reason="marked failed", suppress_events=True)
    ended = airflow.client.wait(task_id, LOG_COMPLETE)
    assert [event.partition(" (")[0] for _, event in _shown(airflow, ended.log.path)] == ["CANCELLED/CANCELLED: marked failed"]


def test_the_note_of_an_expired_execution_stays_in_front_of_the_next_one(airflow):
    path = "dag_id=d/run_id=r/task_id=t/attempt=1.log"
    log = {"log": {"path": path}}
    airflow.client.wait(airflow.client.submit(spec(argv=["true"], override={**log, "start_deadline": "2020-01-01T00:00:00Z"})),
                        LOG_COMPLETE)
    airflow.client.wait(airflow.client.submit(spec(shell="echo works", override=log)), LOG_COMPLETE)
    (logger, note), works = _shown(airflow, path)
    assert logger == "boxkeeper" and note.startswith("FAILED/EXPIRED: ") and note.endswith("(the command was never started)")
    assert works == ("task.stdout", "works")


def test_other_layouts_have_the_commands_bytes_only(shared):
    ended = shared.client.wait(shared.client.submit(spec(shell="echo plain; exit 4")), LOG_COMPLETE)
    assert shared.stored_log(ended) == b"plain\n"
