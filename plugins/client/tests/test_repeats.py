"""What is repeated, what is not, and for how long."""

import time

import grpc
import pytest
from fake_server import Refusal, in_turn

from boxkeeper.client import ConnectionSettings, _retry, errors, specs, task_filter
from boxkeeper.client.keys import make_key
from boxkeeper.v1 import executor_pb2, task_pb2

AWAY = Refusal(grpc.StatusCode.UNAVAILABLE, "NOT_SERVING", "the daemon stops")
BUSY = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "SERVER_BUSY", "too many", retry_after=0.01)


def _spec(name="job"):
    return specs.make_spec(make_key(name), argv=["true"])


def test_a_submission_is_repeated_with_the_same_id(client, fake):
    accepted = executor_pb2.SubmitTasksResponse(results=[{"outcome": "ACCEPTED", "id": "t"}])
    fake.answers["SubmitTasks"] = in_turn(AWAY, BUSY, accepted)
    assert client.submit(_spec()).id == "t"
    ids = {request.tasks[0].submission_id for request in fake.requests["SubmitTasks"]}
    assert fake.count("SubmitTasks") == 3 and len(ids) == 1


def test_what_an_earlier_attempt_had_stored_is_no_error(client, fake):
    fake.answers["SubmitTasks"] = in_turn(AWAY, executor_pb2.SubmitTasksResponse(results=[{"outcome": "DUPLICATE", "id": "t"}]))
    assert client.submit(_spec()).id == "t"


def test_a_spec_without_submission_id_is_not_sent(client, fake):
    with pytest.raises(errors.InvalidSettings, match="submission_id"):
        client.submit(task_pb2.TaskSpec())
    assert not fake.requests


def test_cancelling_by_id_is_repeated(client, fake):
    fake.answers["CancelTasks"] = in_turn(AWAY, executor_pb2.CancelTasksResponse(results=[{"outcome": "STOPPING"}]))
    assert len(client.cancel_tasks(ids=["a"])) == 1
    assert fake.count("CancelTasks") == 2


@pytest.mark.parametrize("what", [{"keys": ["default/COMMAND///job/-1/1"]}, {"filter": task_filter(owner="me")},
                                  {"ids": ["a"], "keys": [make_key("job")]}])
def test_cancelling_by_key_or_filter_is_not_as_it_could_hit_another(client, fake, what):
    fake.answers["CancelTasks"] = in_turn(AWAY, executor_pb2.CancelTasksResponse())
    with pytest.raises(errors.Unavailable):
        client.cancel_tasks(**what)
    assert fake.count("CancelTasks") == 1


def test_a_refusal_before_anything_was_done_may_always_be_repeated(client, fake):
    fake.answers["CancelTasks"] = in_turn(BUSY, executor_pb2.CancelTasksResponse())
    assert client.cancel_tasks(filter=task_filter(owner="me")) == []
    assert fake.count("CancelTasks") == 2


def test_an_answer_that_says_no_is_not_repeated(client, fake):
    fake.answers["GetTask"] = in_turn(Refusal(grpc.StatusCode.NOT_FOUND, "TASK_NOT_FOUND"))
    with pytest.raises(errors.NotFound):
        client.get_task("a")
    assert fake.count("GetTask") == 1


def test_attempts_are_counted(fake, connect):
    client = connect(ConnectionSettings(fake.address, timeout=30, max_attempts=3))
    fake.answers["GetCapacity"] = in_turn(AWAY)
    with pytest.raises(errors.Unavailable):
        client.get_capacity()
    assert fake.count("GetCapacity") == 3


def test_repeating_stays_within_the_timeout(client, fake):
    fake.answers["GetCapacity"] = in_turn(Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "SERVER_BUSY", retry_after=60))
    began = time.monotonic()
    with pytest.raises(errors.Busy):
        client.get_capacity()
    assert fake.count("GetCapacity") == 1 and time.monotonic() - began < 5


def test_every_call_has_a_deadline(client, fake):
    fake.answers["GetCapacity"] = lambda _: fake.released.wait(20) and executor_pb2.GetCapacityResponse()
    with pytest.raises(errors.DeadlineExceeded):
        client.get_capacity(timeout=0.2)
    fake.released.set()
    assert all(0 < seconds < 1 for seconds in fake.deadlines)


def test_a_wait_goes_on_through_a_restart(client, fake):
    done = executor_pb2.WaitTaskResponse(tasks=[{"id": "a", "state": "TASK_STATE_SUCCEEDED"}])
    fake.answers["WaitTask"] = in_turn(AWAY, AWAY, AWAY, executor_pb2.WaitTaskResponse(timed_out=True), done)
    assert [task.id for task in client.wait(["a"])] == ["a"]


def test_a_wait_ends_when_its_time_is_over(client, fake):
    fake.answers["WaitTask"] = in_turn(executor_pb2.WaitTaskResponse(tasks=[{"id": "a"}], timed_out=True))
    with pytest.raises(errors.WaitTimeout) as caught:
        client.wait(["a"], until="LOG_COMPLETE", timeout=0.05)
    assert [task.id for task in caught.value.tasks] == ["a"]


def test_a_wait_gives_up_after_reconnect_timeout(fake, connect):
    client = connect(ConnectionSettings(fake.address, reconnect_timeout=0.3))
    fake.stop()
    with pytest.raises(errors.Unavailable):
        client.wait(["a"])


def test_waits_between_attempts_grow_and_differ():
    backoffs = [_retry.Backoff() for _ in range(20)]
    waits = [[backoff.seconds() for _ in range(9)] for backoff in backoffs]
    assert all(0.05 <= w[0] <= 0.1 and 2.5 <= w[-1] <= 5 for w in waits)
    assert len({w[0] for w in waits}) > 10
    assert _retry.Backoff().seconds(at_least=7) == 7


def test_a_closed_client_says_so(client, fake):
    client.close()
    with pytest.raises(errors.InvalidSettings, match="closed"):
        client.get_capacity()
    assert not fake.requests
