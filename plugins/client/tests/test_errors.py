"""Failed calls become typed exceptions that say all that the daemon said, and no secret."""

import pickle

import grpc
import pytest
from fake_server import Refusal, in_turn

from boxkeeper.client import ConnectionSettings, errors
from boxkeeper.v1 import executor_pb2, task_pb2

CODE = grpc.StatusCode


def _failure(client, fake, refusal):
    fake.answers["GetTask"] = in_turn(refusal)
    with pytest.raises(errors.BoxkeeperError) as caught:
        client.get_task("a")
    return caught.value


@pytest.mark.parametrize("code, reason, kind", [
    (CODE.NOT_FOUND, "TASK_NOT_FOUND", errors.NotFound),
    (CODE.INVALID_ARGUMENT, "INVALID_REQUEST", errors.InvalidRequest),
    (CODE.OUT_OF_RANGE, "CURSOR_GONE", errors.CursorGone),
    (CODE.OUT_OF_RANGE, "OFFSET_BEYOND_END", errors.InvalidRequest),
    (CODE.UNAUTHENTICATED, "TOKEN_INVALID", errors.Unauthenticated),
    (CODE.PERMISSION_DENIED, "", errors.Unauthenticated),
    (CODE.FAILED_PRECONDITION, "TASK_NOT_ENDED", errors.FailedPrecondition),
    (CODE.RESOURCE_EXHAUSTED, "BLOBS_FULL", errors.Busy),
    (CODE.RESOURCE_EXHAUSTED, "", errors.InvalidRequest),  # gRPC's own: a message above its limit
    (CODE.DEADLINE_EXCEEDED, "", errors.DeadlineExceeded),
    (CODE.INTERNAL, "INTERNAL", errors.RpcFailed),
])
def test_each_code_and_reason_has_its_type(client, fake, code, reason, kind):
    failure = _failure(client, fake, Refusal(code, reason, "words"))
    assert type(failure) is kind
    assert (failure.code, failure.reason, failure.message, failure.method) == (code.name, reason, "words", "GetTask")


def test_an_error_carries_every_violation_the_wait_and_the_metadata(client, fake):
    failure = _failure(client, fake, Refusal(CODE.INVALID_ARGUMENT, "INVALID_REQUEST", "2 mistakes",
                                             violations=[("a.b", "is missing"), ("c", "too long")], metadata={"limit": "7"}))
    assert failure.violations == (("a.b", "is missing"), ("c", "too long"))
    assert failure.metadata == {"limit": "7"}
    assert str(failure) == "GetTask: INVALID_ARGUMENT/INVALID_REQUEST: 2 mistakes\n  a.b: is missing\n  c: too long"


def test_a_refusal_for_now_says_when_to_come_back(client, fake):
    failure = _failure(client, fake, Refusal(CODE.RESOURCE_EXHAUSTED, "SERVER_BUSY", "later", retry_after=100.5))
    assert isinstance(failure, errors.Busy) and failure.retry_after == 100.5


def test_details_that_cannot_be_read_are_no_obstacle(client, fake):
    class Garbage:
        def SerializeToString(self):
            return b"\xff\xff\xff"

    refusal = Refusal(CODE.NOT_FOUND, "TASK_NOT_FOUND", "words")
    refusal.status = Garbage()
    failure = _failure(client, fake, refusal)
    assert isinstance(failure, errors.NotFound) and failure.reason == ""


def test_nobody_there_is_told_with_the_address(fake, connect):
    fake.stop()
    client = connect(ConnectionSettings(fake.address, timeout=5, max_attempts=1))
    with pytest.raises(errors.Unavailable, match=f"cannot reach boxkeeperd at {fake.address}"):
        client.get_capacity()


def _result(outcome, **fields):
    return executor_pb2.SubmitTasksResponse(results=[executor_pb2.SubmitResult(outcome=outcome, **fields)])


def _spec():
    return task_pb2.TaskSpec(submission_id="id", key=task_pb2.TaskKey(name="job"), secrets={"A": task_pb2.Secret(value="hunter22")})


def test_submit_raises_what_an_item_was_refused_for(client, fake):
    violation = {"field": "key.name", "description": "is missing"}
    fake.answers["SubmitTasks"] = in_turn(_result("REJECTED", violations=[violation]), _result("QUEUE_FULL", retry_after={"seconds": 3}),
                                          _result("ALREADY_LIVE", id="other", state="TASK_STATE_RUNNING"))
    with pytest.raises(errors.Rejected, match="key.name: is missing") as rejected:
        client.submit(_spec())
    assert rejected.value.violations == (("key.name", "is missing"),)
    with pytest.raises(errors.QueueFull) as full:
        client.submit(_spec())
    assert full.value.retry_after == 3
    with pytest.raises(errors.AlreadyLive, match="task other is RUNNING") as live:
        client.submit(_spec())
    assert live.value.task_id == "other"
    for caught in (rejected, full, live):
        assert "hunter22" not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("error", [
    errors.NotFound("words", code="NOT_FOUND", reason="TASK_NOT_FOUND", method="GetTask", retry_after=1.0,
                    violations=[errors.Violation("a", "b")]),
    errors.WaitTimeout("words", []),
    errors.InvalidSettings("words"),
])
def test_exceptions_survive_pickling(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error) and vars(again) == vars(error)
