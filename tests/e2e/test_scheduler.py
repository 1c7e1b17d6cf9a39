"""What a scheduler's plugin relies on: adoption in one call, what an old owner leaves behind, keys and generations, its workload as a secret file."""

import os

import grpc
import pytest

from tests.harness.client import end, forever, spec, state_name
from tests.harness.daemon import Daemon
from tests.harness.gate import Gate
from tests.harness.stubs import executor_pb2, task_pb2
from tests.harness.waiting import until

LOG_COMPLETE = executor_pb2.WaitTaskRequest.LOG_COMPLETE
_MOST = 1000  # tasks of one request


def _key(name, attempt=1):
    return task_pb2.TaskKey(namespace="airflow", kind=task_pb2.TaskKey.TASK, group="d", run="manual__2026-01-01T00:00:00+00:00", name=name,
                            **{"try": attempt})


def _refs(keys):
    return [executor_pb2.TaskRef(key=key) for key in keys]


def _adopt(client, new_owner, keys):
    request = executor_pb2.AdoptTasksRequest(new_owner=new_owner, tasks=_refs(keys))
    return list(client.call(client.executor.AdoptTasks, request).results)


def _snapshot(client):
    """A cursor that covers all events there are."""
    return client.call(client.executor.ListTasks, executor_pb2.ListTasksRequest(page_size=1)).snapshot_cursor


def _known(client, task_id):
    try:
        client.get(task_id)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND
        return False
    return True


def test_all_tasks_of_a_dead_scheduler_are_adopted_in_one_call():
    with Daemon({"scheduling": {"max_running": 1}}) as daemon:
        client = daemon.start().client
        ended = client.run(spec(shell="exit 3", key=_key("ended"), owner="old"))
        running = client.submit(spec(argv=forever(), key=_key("running"), owner="old"))
        client.wait_running(running)
        names = [f"waits-{number}" for number in range(_MOST - 3)]
        client.submit_all([spec(argv=["true"], key=_key(name), owner="old") for name in names])
        keys = [_key(name) for name in ["ended", "running", "nonesuch", *names]]
        results = _adopt(client, "new", keys)
        outcomes = [executor_pb2.AdoptResult.Outcome.Name(result.outcome) for result in results]
        assert outcomes == ["TERMINAL", "LIVE", "UNKNOWN"] + ["LIVE"] * len(names)
        assert end(results[0].task) == end(ended) and results[1].task.id == running
        assert {result.task.owner for result in results if result.outcome != executor_pb2.AdoptResult.UNKNOWN} == {"new"}
        # Again, after a crash: nothing is told twice.
        daemon.kill()
        client = daemon.start().client
        _adopt(client, "new", keys)
        assert sum(event.type == task_pb2.EVENT_TYPE_OWNER_CHANGED for event in client.events("new")) == len(keys) - 1
        with pytest.raises(grpc.RpcError) as refused:
            _adopt(client, "new", [*keys, _key("one-too-many")])
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT and "1000" in refused.value.details()


def test_nothing_stays_of_an_old_owner_whose_tasks_were_adopted():
    with Daemon({"scheduling": {"retention": "1s"}}) as daemon:
        client, gate = daemon.start().client, Gate(daemon.folder)
        # Of this one the old scheduler had heard, but had not acknowledged it; nobody adopts what its database has done with.
        done = client.wait(client.submit(spec(argv=["true"], owner="old")), LOG_COMPLETE).id
        live = client.submit(spec(shell=gate.wait, key=_key("live"), owner="old"))
        client.wait_running(live)
        _adopt(client, "new", [_key("live")])
        gate.open()
        client.wait(live, LOG_COMPLETE)
        client.ack("new", client.events("new")[-1].cursor)
        until(lambda: not _known(client, live), "the adopted task is compacted, acknowledged by its new owner alone")
        assert _known(client, done)
        client.ack("old", _snapshot(client))  # for the dead one
        until(lambda: not _known(client, done), "what it left behind is compacted")
        assert not client.events("old")


def test_cancelled_by_key_without_events(daemon):
    client, key = daemon.client, _key("revoked")
    live = client.submit(spec(argv=forever(), key=key, owner="o"))
    client.wait_running(live)
    successor = client.submit(spec(argv=["true"], key=key, owner="o", on_live_key=task_pb2.ON_LIVE_KEY_AFTER))
    before = len(client.events("o"))
    request = executor_pb2.CancelTasksRequest(tasks=_refs([key]), suppress_events=True, force=True, reason="revoked")
    results = client.call(client.executor.CancelTasks, request).results
    assert {result.id: result.outcome for result in results} == {
        live: executor_pb2.CancelResult.STOPPING, successor: executor_pb2.CancelResult.CANCELLED}
    assert all(result.ref.key == key for result in results)
    # The key is free at once for what comes after it, and only that is told.
    again = client.submit(spec(argv=["true"], key=key, owner="o", on_live_key=task_pb2.ON_LIVE_KEY_REPLACE))
    client.wait(again, LOG_COMPLETE)
    client.wait_all([live, successor], LOG_COMPLETE)
    assert {event.task.id for event in client.events("o")[before:]} == {again}
    unknown = executor_pb2.CancelTasksRequest(tasks=_refs([_key("nonesuch")]))
    assert [result.outcome for result in client.call(client.executor.CancelTasks, unknown).results] == [executor_pb2.CancelResult.NOT_FOUND]


def test_a_key_names_its_newest_generation_unless_told(daemon):
    client, key = daemon.client, _key("deferred")
    first = client.run(spec(argv=["true"], key=key))
    second = client.run(spec(shell="exit 5", key=key))

    def get(**fields):
        return client.call(client.executor.GetTask, executor_pb2.GetTaskRequest(task=executor_pb2.TaskRef(key=key), **fields))

    assert get().id == second.id and get(generation=first.generation).id == first.id
    assert get(generation=second.generation).id == second.id
    other = client.run(spec(argv=["true"], key=_key("other")))
    for generation in (other.generation, other.generation + 1000):
        with pytest.raises(grpc.RpcError) as absent:
            get(generation=generation)
        assert absent.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_successor_stops_a_live_one_that_does_not_leave_in_time():
    with Daemon({"scheduling": {"handover_grace": "1s", "cancel_grace": "1s"}}) as daemon:
        client, key = daemon.start().client, _key("zombie")
        live = client.submit(spec(argv=forever(), key=key))
        client.wait_running(live)
        successor = client.submit(spec(argv=["true"], key=key, on_live_key=task_pb2.ON_LIVE_KEY_AFTER))
        assert state_name(client.get(live).state) == "RUNNING"
        ended = {task.id: task for task in client.wait_all([live, successor])}
        assert end(ended[live])[:2] == ("CANCELLED", "CANCELLED") and end(ended[successor])[0] == "SUCCEEDED"
        assert ended[successor].started_at.ToNanoseconds() >= ended[live].ended_at.ToNanoseconds()
        waited = ended[live].ended_at.ToNanoseconds() - ended[successor].accepted_at.ToNanoseconds()
        assert waited >= 0.9e9, "it had its grace"


@pytest.mark.parametrize("path", ["workload.json", "below/workload.json", "/tmp/boxkeeper-test-{}/workload.json"])
def test_a_workload_as_a_secret_file(isolated, path):
    """Below the sandbox's own working directory, or where it says; for its command only; gone with it."""
    path = path.format(os.getpid())
    content = b'{"token": "header.payload.signature"}'
    item = spec(shell=f'stat -c "%a %s" {path}; wc -c < {path}; sh -c "cat {path} | wc -c"')
    item.files.add(path=path, content=content, secret=True)
    task_id = isolated.client.submit(item)
    assert end(isolated.client.wait(task_id, LOG_COMPLETE))[0] == "SUCCEEDED"
    assert isolated.client.log(task_id).decode().split() == ["400", *[str(len(content))] * 3]
    found = [name for _, _, names in os.walk(isolated.folder) for name in names if name == "workload.json"]
    assert not found and not os.path.exists(path)
