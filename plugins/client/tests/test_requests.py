"""What the daemon is asked: batches, pages, blobs, filters."""

import hashlib

import grpc
import pytest
from fake_server import Refusal, in_turn

from boxkeeper.client import errors, specs, task_filter
from boxkeeper.client.keys import make_key
from boxkeeper.v1 import executor_pb2, task_pb2


def _accept(request):
    return executor_pb2.SubmitTasksResponse(results=[{"outcome": "ACCEPTED", "id": t.key.name} for t in request.tasks])


def _specs(count, size=0):
    return [specs.make_spec(make_key(f"job-{i}"), argv=["true", "x" * size]) for i in range(count)]


def test_few_tasks_go_in_one_request_without_a_question(client, fake):
    fake.answers["SubmitTasks"] = _accept
    assert [r.id for r in client.submit_tasks(_specs(100))] == [f"job-{i}" for i in range(100)]
    assert fake.count("SubmitTasks") == 1 and fake.count("GetCapacity") == 0
    assert client.submit_tasks([]) == [] and fake.count("SubmitTasks") == 1


def test_many_tasks_are_split_by_the_daemons_limits_which_are_asked_for_once(client, fake):
    fake.answers["SubmitTasks"] = _accept
    fake.answers["GetCapacity"] = in_turn(executor_pb2.GetCapacityResponse(max_items=150, max_batch_bytes=1 << 20))
    for _ in range(2):
        assert [r.id for r in client.submit_tasks(_specs(400))] == [f"job-{i}" for i in range(400)]
    assert [len(r.tasks) for r in fake.requests["SubmitTasks"]] == [150, 150, 100] * 2
    assert fake.count("GetCapacity") == 1


def test_large_tasks_are_split_by_bytes_and_a_monster_goes_alone(client, fake):
    fake.answers["SubmitTasks"] = _accept
    fake.answers["GetCapacity"] = in_turn(executor_pb2.GetCapacityResponse(max_items=1000, max_batch_bytes=1 << 20))
    batch = _specs(5, 400_000) + _specs(1, 2_000_000)
    assert len(client.submit_tasks(batch, validate_only=True)) == 6
    assert [len(r.tasks) for r in fake.requests["SubmitTasks"]] == [2, 2, 1, 1]
    assert all(r.ByteSize() <= 1 << 20 for r in fake.requests["SubmitTasks"][:3])
    assert all(r.validate_only for r in fake.requests["SubmitTasks"])


def test_lists_of_one_request_have_at_most_1000_entries(client, fake):
    ids = [f"t{i}" for i in range(2500)]
    fake.answers["WaitTask"] = lambda r: executor_pb2.WaitTaskResponse(tasks=[{"id": i} for i in r.ids])
    assert [task.id for task in client.wait(ids, "RUNNING")] == ids
    fake.answers["RenewLease"] = lambda r: executor_pb2.RenewLeaseResponse(not_found=r.ids[:1])
    assert client.renew_lease(ids) == ["t0", "t1000", "t2000"]
    fake.answers["AdoptTasks"] = lambda r: executor_pb2.AdoptTasksResponse(results=[{"outcome": "LIVE"}] * len(r.tasks))
    assert len(client.adopt_tasks("new", ids=ids)) == 2500
    fake.answers["CancelTasks"] = lambda r: executor_pb2.CancelTasksResponse(results=[{"outcome": "STOPPING"}] * len(r.tasks))
    assert len(client.cancel_tasks(ids)) == 2500
    for method, sizes in {"WaitTask": [len(r.ids) for r in fake.requests["WaitTask"]],
                          "AdoptTasks": [len(r.tasks) for r in fake.requests["AdoptTasks"]],
                          "CancelTasks": [len(r.tasks) for r in fake.requests["CancelTasks"]]}.items():
        assert sizes == [1000, 1000, 500], method


def test_a_list_goes_over_all_pages(client, fake):
    pages = {"": executor_pb2.ListTasksResponse(tasks=[{"id": "a"}, {"id": "b"}], next_page_token="p", snapshot_cursor="c1"),
             "p": executor_pb2.ListTasksResponse(tasks=[{"id": "c"}], snapshot_cursor="c2")}
    fake.answers["ListTasks"] = lambda request: pages[request.page_token]
    wanted = task_filter("default/TASK/", owner="", states=["RUNNING", "TASK_STATE_QUEUED"], labels={"a": "b"})
    assert [task.id for task in client.list_tasks(wanted)] == ["a", "b", "c"]
    tasks, cursor = client.snapshot(wanted)
    assert [task.id for task in tasks] == ["a", "b", "c"] and cursor == "c1"
    asked = fake.requests["ListTasks"][0].filter
    assert (asked.key_prefix, asked.HasField("owner"), dict(asked.labels)) == ("default/TASK/", True, {"a": "b"})
    assert list(asked.states) == [task_pb2.TASK_STATE_RUNNING, task_pb2.TASK_STATE_QUEUED]


def test_cancel_says_everything_that_was_asked_for(client, fake):
    fake.answers["CancelTasks"] = in_turn(executor_pb2.CancelTasksResponse())
    client.cancel_tasks(keys=["airflow/TASK/dag/run/task/-1/2", make_key("job")], force=True, grace=1.5, reason="why", suppress_events=True)
    [request] = fake.requests["CancelTasks"]
    assert [r.key.name for r in request.tasks] == ["task", "job"] and not request.HasField("filter")
    assert (request.force, request.grace.ToMilliseconds(), request.reason, request.suppress_events) == (True, 1500, "why", True)
    with pytest.raises(errors.InvalidSettings):
        client.cancel_tasks(ids=["a"], filter=task_filter(owner="me"))
    assert client.cancel_tasks() == [] and fake.count("CancelTasks") == 1


@pytest.mark.parametrize("arguments", [{}, {"id": "a", "key": make_key("b")}])
def test_a_task_is_named_by_exactly_one_of_id_and_key(client, fake, arguments):
    with pytest.raises(errors.InvalidSettings):
        client.get_task(**arguments)
    assert not fake.requests


@pytest.mark.parametrize("as_file", [False, True])
def test_a_blob_is_named_by_its_content_and_repeated_whole(client, fake, tmp_path, as_file):
    content = b"0123456789" * 300_000
    fake.answers["PutBlob"] = in_turn(Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "BLOBS_FULL", retry_after=0.01),
                                      executor_pb2.PutBlobResponse(expires_at={"seconds": 99}))
    (tmp_path / "content").write_bytes(content)
    blob = client.put_blob(str(tmp_path / "content") if as_file else content)
    assert blob == (hashlib.sha256(content).hexdigest(), len(content), False, 99.0)
    for messages in fake.requests["PutBlob"]:
        assert (messages[0].sha256, messages[0].size) == blob[:2]
        assert b"".join(m.data for m in messages) == content and max(len(m.data) for m in messages) <= 4 << 20


def test_a_blob_of_a_file_that_is_not_there(client, fake, tmp_path):
    with pytest.raises(errors.InvalidSettings, match="No such file"):
        client.put_blob(tmp_path / "nothing")
