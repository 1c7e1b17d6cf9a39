"""What an api-server shows of a running task: the stored pieces of the `airflow` layout, and what ReadLog says is not stored yet."""

import glob
import json
import os

import grpc
import pytest

from tests.harness.client import spec
from tests.harness.daemon import Daemon
from tests.harness.gate import Gate
from tests.harness.stubs import executor_pb2, task_pb2
from tests.harness.waiting import until

LOG_COMPLETE = executor_pb2.WaitTaskRequest.LOG_COMPLETE
_PATH = "dag_id=d/run_id=r/task_id=t/attempt=1.log"
_KEY = task_pb2.TaskKey(namespace="airflow", kind=task_pb2.TaskKey.TASK, group="d", run="r", name="t")
_AIRFLOW = {"log": {"layout": "airflow", "path": _PATH}}


def _stored(daemon):
    """Events of the stored pieces, in order."""
    records = []
    for name in sorted(glob.glob(os.path.join(daemon.folder, "logs", _PATH) + ".*")):
        with open(name, encoding="utf-8") as file:
            records += [json.loads(line)["event"] for line in file]
    return records


def _unstored(client, key=_KEY):
    """Events of what is not stored."""
    request = executor_pb2.ReadLogRequest(task=executor_pb2.TaskRef(key=key), unstored=True)
    data = b"".join(answer.data for answer in client.executor.ReadLog(request, timeout=30, wait_for_ready=True))
    return [json.loads(line)["event"] for line in data.splitlines()]


def test_each_line_is_stored_or_unstored_across_kill_9():
    # The store lags, so that both parts have lines.
    with Daemon({"logs": {"flush_interval": "1s", "flush_interval_max": "2s"}}) as daemon:
        client, gate = daemon.start().client, Gate(daemon.folder)
        shell = f"n=0; while [ $n -lt 20 ]; do {gate.wait}; echo line $n; n=$((n+1)); done; printf unfinished; {gate.wait}"
        task_id = client.submit(spec(shell=shell, key=_KEY, override=_AIRFLOW))
        expected, parts = [], set()

        def shown():
            stored, unstored = _stored(daemon), _unstored(client)
            parts.add((bool(stored), bool(unstored)))
            # What was stored between the two looks is seen at the next one.
            assert len(set(stored + unstored)) == len(stored + unstored)
            return stored + unstored

        for number in range(20):
            gate.open()
            expected.append(f"line {number}")
            until(lambda: shown() == expected, f"line {number} live")
            if number == 5:
                until(lambda: _stored(daemon), "the first lines stored")
            if number == 10:
                daemon.restart()
                client = daemon.client
        assert (True, True) in parts
        gate.open()
        client.wait(task_id, LOG_COMPLETE)
        assert _stored(daemon) == [*expected, "unfinished"] and _unstored(client) == []


def test_a_follower_sees_all_of_it_once_though_it_is_stored_meanwhile(shared):
    gate = Gate(shared.folder)
    shell = f"n=0; while [ $n -lt 5 ]; do {gate.wait}; echo line $n; echo more $n >&2; n=$((n+1)); done; exit 3"
    task_id = shared.client.submit(spec(shell=shell, override={"log": {"layout": "airflow"}}))
    events, offset = [], 0
    answers = shared.client.log_pieces(task_id, unstored=True, follow=True)
    gate.open()
    for answer in answers:
        assert answer.offset == offset or not answer.data
        offset += len(answer.data)
        seen = len(events)
        events += [json.loads(line)["event"] for line in answer.data.splitlines()]
        if any(event.startswith("line") for event in events[seen:]) and len(events) < 10:
            gate.open()
    assert answer.end and sorted(events[:-1]) == sorted(f"{word} {n}" for n in range(5) for word in ("line", "more"))
    assert events[-1] == "FAILED/EXIT_CODE: exited with code 3"


def test_unstored_is_of_the_airflow_layout_only(shared):
    task_id = shared.client.submit(spec(shell="echo plain"))
    with pytest.raises(grpc.RpcError) as refused:
        shared.client.log(task_id, unstored=True)
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION and "airflow layout" in refused.value.details()
