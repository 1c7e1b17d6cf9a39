"""The courier against a relay that answers as the test wants: what is asked again, in which order, and what is not."""

import threading

import pytest
from fake_relay import FakeRelay
from tests.harness.waiting import until

from boxkeeper.airflow.executors import courier as courier_module
from boxkeeper.airflow.executors.courier import AdoptedLate, Answered, Courier, Happened, Submission
from boxkeeper.airflow.executors.wire import BrokenFrame, Frame, FrameBuffer, Kind
from boxkeeper.client.keys import make_key
from boxkeeper.v1 import executor_pb2 as pb
from boxkeeper.v1 import task_pb2

_AWAY = {"code": "UNAVAILABLE", "message": "nobody there"}
_REQUESTS = {Kind.SUBMIT: pb.SubmitTasksRequest, Kind.CANCEL: pb.CancelTasksRequest, Kind.ADOPT: pb.AdoptTasksRequest,
             Kind.ACK: pb.AckEventsRequest, Kind.RETIRE: pb.AckEventsRequest, Kind.CAPACITY: pb.GetCapacityRequest}


def submission(name):
    key = make_key(name, kind="TASK")
    return Submission(name, task_pb2.TaskSpec(submission_id=name, key=key))


def accepted(request):
    return pb.SubmitTasksResponse(results=[pb.SubmitResult(outcome=pb.SubmitResult.ACCEPTED, id=f"id-{spec.submission_id}")
                                           for spec in request.tasks])


class Script:
    """Starts relays whose answers are functions of the test's, by kind of question."""

    def __init__(self):
        self.asked = []  # (kind, request)
        self.relays = []
        self.answers = {Kind.CAPACITY: lambda request: pb.GetCapacityResponse(accepting=True), Kind.SUBMIT: accepted,
                        Kind.CANCEL: lambda request: pb.CancelTasksResponse(), Kind.ACK: lambda request: pb.AckEventsResponse(),
                        Kind.RETIRE: lambda request: pb.AckEventsResponse(),
                        Kind.ADOPT: lambda request: pb.AdoptTasksResponse(results=[pb.AdoptResult() for _ in request.tasks])}
        self.held = []

    def spawn(self):
        self.relays.append(FakeRelay(self._answer, 1000 + len(self.relays)))
        return self.relays[-1]

    def _answer(self, frame):
        request = _REQUESTS[frame.kind].FromString(frame.body)
        self.asked.append((frame.kind, request))
        answer = self.answers[frame.kind](request)
        if answer is None:
            self.held.append((self.relays[-1], frame, request))
        return answer

    def release(self, answer=None):
        """Answers what was held."""
        for relay, frame, request in self.held:
            relay.reply(frame, answer or accepted(request))
        self.held.clear()

    def of(self, kind):
        return [request for asked, request in self.asked if asked == kind]


@pytest.fixture
def script():
    return Script()


@pytest.fixture
def courier(script):
    made = Courier({"address": "nowhere"}, "me", call_timeout=5.0, capacity_interval=60.0, spawn=script.spawn)
    made.start()
    yield made
    made.stop()
    assert not made._thread.is_alive()


def news_until(courier, count):
    found = []

    def enough():
        found.extend(courier.news(100))
        return len(found) >= count

    until(enough, f"{count} pieces of news")
    return found


def test_what_was_not_answered_is_submitted_again_under_the_same_id(courier, script):
    script.answers[Kind.SUBMIT] = lambda request: _AWAY if len(script.of(Kind.SUBMIT)) < 3 else accepted(request)
    courier.submit([submission("a"), submission("b")])
    found = news_until(courier, 2)
    assert [(item.submission_id, item.result.id) for item in found] == [("a", "id-a"), ("b", "id-b")]
    assert [[spec.submission_id for spec in request.tasks] for request in script.of(Kind.SUBMIT)] == [["a", "b"]] * 3


def test_a_relay_that_dies_with_questions_is_asked_anew(courier, script):
    script.answers[Kind.SUBMIT] = lambda request: script.relays[0].leave() if len(script.relays) == 1 else accepted(request)
    courier.submit([submission("a")])
    (found,) = news_until(courier, 1)
    assert found.result.id == "id-a" and len(script.relays) == 2


def test_one_bad_item_of_a_refused_request_is_rejected_alone(courier, script):
    def answer(request):
        if any(spec.submission_id == "bad" for spec in request.tasks):
            return {"code": "INVALID_ARGUMENT", "message": "it is bad"}
        return accepted(request)

    script.answers[Kind.SUBMIT] = answer
    courier.submit([submission("a"), submission("bad"), submission("b")])
    outcomes = {item.submission_id: (item.result.outcome, item.result.message) for item in news_until(courier, 3)}
    assert outcomes == {"a": (pb.SubmitResult.ACCEPTED, ""), "bad": (pb.SubmitResult.REJECTED, "it is bad"), "b": (pb.SubmitResult.ACCEPTED, "")}


def test_what_is_cancelled_before_it_was_sent_is_never_sent(courier, script):
    script.answers[Kind.SUBMIT] = lambda request: None
    courier.submit([submission("first")])
    until(lambda: script.held, "the first is under way")
    courier.submit([submission("a"), submission("b")])
    courier.cancel(submission_id="a", task_id="", key=make_key("a"), reason="")
    until(lambda: list(courier._pending) == ["first", "b"], "the courier has heard of it")
    script.answers[Kind.SUBMIT] = accepted
    script.release()
    assert {item.submission_id for item in news_until(courier, 2)} == {"first", "b"}
    assert [spec.submission_id for request in script.of(Kind.SUBMIT) for spec in request.tasks] == ["first", "b"]
    assert not script.of(Kind.CANCEL)


def test_what_is_cancelled_under_way_is_cancelled_by_the_id_it_got_and_its_successor_waits(courier, script):
    script.answers[Kind.SUBMIT] = lambda request: None if len(script.of(Kind.SUBMIT)) == 1 else accepted(request)
    courier.submit([submission("a")])
    until(lambda: script.held, "it is under way")
    courier.cancel(submission_id="a", task_id="", key=make_key("a"), reason="why")
    courier.submit([submission("next")])
    until(lambda: courier._doomed and "next" in courier._pending, "the courier has heard of both")
    script.release()
    (found,) = news_until(courier, 1)
    assert found.submission_id == "next"
    (cancel,) = script.of(Kind.CANCEL)
    assert cancel.tasks[0].id == "id-a" and cancel.suppress_events and cancel.reason == "why"
    kinds = [kind for kind, _ in script.asked if kind in (Kind.SUBMIT, Kind.CANCEL)]
    assert kinds == [Kind.SUBMIT, Kind.CANCEL, Kind.SUBMIT]


def test_what_is_cancelled_under_way_in_a_call_that_fails_is_cancelled_by_its_key(courier, script):
    script.answers[Kind.SUBMIT] = lambda request: None
    courier.submit([submission("a")])
    until(lambda: script.held, "it is under way")
    courier.cancel(submission_id="a", task_id="", key=make_key("a"), reason="")
    until(lambda: courier._doomed, "the courier has heard of it")
    script.release(_AWAY)
    until(lambda: script.of(Kind.CANCEL), "the cancel")
    assert script.of(Kind.CANCEL)[0].tasks[0].key.name == "a"
    script.answers[Kind.SUBMIT] = accepted
    courier.submit([submission("b")])
    (found,) = news_until(courier, 1)
    assert found.submission_id == "b"


def test_an_adoption_answers_in_time_or_later_but_once(courier, script):
    keys = [make_key("a"), make_key("b")]
    assert len(courier.adopt(keys, 10)) == 2
    script.answers[Kind.ADOPT] = lambda request: None
    assert courier.adopt(keys, 0.2) is None
    script.release(pb.AdoptTasksResponse(results=[pb.AdoptResult(), pb.AdoptResult()]))
    (late,) = news_until(courier, 1)
    assert isinstance(late, AdoptedLate) and [key.name for key in late.keys] == ["a", "b"]


def test_more_keys_than_a_request_takes_are_adopted_in_parts(courier, script):
    assert len(courier.adopt([make_key(str(number)) for number in range(2500)], 10)) == 2500
    assert [len(request.tasks) for request in script.of(Kind.ADOPT)] == [1000, 1000, 500]


def test_events_come_in_order_and_are_acknowledged_when_asked(courier, script):
    until(lambda: script.relays, "a relay")
    for number in range(3):
        script.relays[0].send(Frame(Kind.EVENT, task_pb2.Event(cursor=str(number)).SerializeToString()))
    found = news_until(courier, 3)
    assert all(isinstance(item, Happened) for item in found) and [item.event.cursor for item in found] == ["0", "1", "2"]
    script.answers[Kind.ACK] = lambda request: _AWAY if len(script.of(Kind.ACK)) == 1 else pb.AckEventsResponse()
    courier.ack("2")
    until(lambda: len(script.of(Kind.ACK)) == 2, "the acknowledgement, and again")
    assert {(request.owner, request.cursor) for request in script.of(Kind.ACK)} == {("me", "2")}
    until(lambda: not courier._ack, "it is done")


def test_a_relay_is_not_read_while_nobody_takes_the_news(courier, script, monkeypatch):
    monkeypatch.setattr(courier_module, "_NEWS_MAX", 10)
    until(lambda: script.relays, "a relay")
    body = task_pb2.Event(task=task_pb2.Task(message="x" * 1000)).SerializeToString()
    sent = threading.Event()

    def send():
        for _ in range(2000):
            script.relays[0].send(Frame(Kind.EVENT, body))
        sent.set()

    threading.Thread(target=send, daemon=True).start()
    until(lambda: len(courier._news) >= 10, "the bound is reached")
    assert not sent.wait(0.3) and len(courier._news) < 2000
    assert len(news_until(courier, 2000)) == 2000 and sent.wait(10)


def test_a_relay_that_cannot_be_started_is_tried_again(script):
    tries = []

    def spawn():
        tries.append(1)
        if len(tries) < 3:
            raise OSError("no room")
        return script.spawn()

    courier = Courier({"address": "nowhere"}, "me", spawn=spawn)
    courier.start()
    try:
        courier.submit([submission("a")])
        assert isinstance(news_until(courier, 1)[0], Answered)
    finally:
        courier.stop()


def test_frames_are_cut_out_of_any_pieces():
    frames = [Frame(Kind.SUBMIT, b"x" * size, number, 5) for number, size in enumerate((0, 1, 300))]
    data = b"".join(frame.encode() for frame in frames)
    buffer = FrameBuffer()
    assert [frame for byte in data for frame in buffer.feed(bytes([byte]))] == frames
    with pytest.raises(BrokenFrame):
        FrameBuffer().feed(b"\xff" * 20)
    with pytest.raises(BrokenFrame):
        FrameBuffer().feed(Frame(Kind.HELLO, b"").encode()[:-1] + b"\xee")
