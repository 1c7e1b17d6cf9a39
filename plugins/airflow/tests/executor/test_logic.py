"""SandboxExecutor with a courier that only takes notes: what it tells Airflow, what it asks of the daemon."""

import pytest
from airflow.utils.state import TaskInstanceState
from executor_stand import instance, make_workload

from boxkeeper.airflow.executors.courier import AdoptedLate, Answered, Happened
from boxkeeper.airflow.executors.keys import Namespace
from boxkeeper.airflow.executors.sandbox_executor import SandboxExecutor
from boxkeeper.v1 import executor_pb2 as pb
from boxkeeper.v1 import task_pb2

_KEYS = Namespace("airflow")


class NotedCourier:
    """What was asked of it, and news that the test makes."""

    def __init__(self, options, owner, **more):
        self.owner = owner
        self.capacity, self.reachable = None, True
        self.submitted, self.cancelled, self.acknowledged, self.retired = [], [], [], []
        self.adoption = None
        self.coming = []

    def start(self):
        pass

    def stop(self):
        pass

    def submit(self, submissions):
        self.submitted += submissions

    def cancel(self, **what):
        self.cancelled.append(what)

    def adopt(self, keys, timeout):
        return self.adoption

    def ack(self, cursor):
        self.acknowledged.append(cursor)

    def retire(self, owner):
        self.retired.append(owner)

    def news(self, limit):
        items, self.coming = self.coming[:limit], self.coming[limit:]
        return items

    def describe(self):
        return "noted"


@pytest.fixture
def executor(monkeypatch):
    monkeypatch.setattr("boxkeeper.airflow.executors.sandbox_executor.Courier", NotedCourier)
    made = SandboxExecutor(parallelism=8)
    made.job_id = 1
    made.start()
    return made


def courier_of(executor):
    return executor._courier


def handed_over(executor, item):
    """Queues a workload and lets it be handed over; its submission."""
    executor.queue_workload(item, session=None)
    executor.heartbeat()
    return courier_of(executor).submitted[-1]


def answer(submission, outcome, **fields):
    return Answered(submission.submission_id, pb.SubmitResult(outcome=pb.SubmitResult.Outcome.Value(outcome), **fields))


def event(submission, state, reason="UNSPECIFIED", kind="STATE", cursor="c", **fields):
    task = task_pb2.Task(id="t" * 26, submission_id=submission.submission_id, state=task_pb2.TaskState.Value(f"TASK_STATE_{state}"),
                         reason=task_pb2.Reason.Value(f"REASON_{reason}"), key=submission.spec.key, **fields)
    return Happened(task_pb2.Event(cursor=cursor, type=task_pb2.EventType.Value(f"EVENT_TYPE_{kind}"), task=task))


def test_events_are_acknowledged_one_turn_after_they_were_applied(executor):
    courier, submission = courier_of(executor), handed_over(executor, make_workload("a"))
    courier.coming = [event(submission, "RUNNING", cursor="1"), event(submission, "SUCCEEDED", "EXIT_CODE", cursor="2")]
    executor.heartbeat()
    assert courier.acknowledged == [] and len(executor.get_event_buffer()) == 1
    executor.heartbeat()
    executor.heartbeat()
    assert courier.acknowledged == ["2"]


def test_a_full_queue_puts_the_workload_back_under_the_same_submission_id(executor):
    item = make_workload("a")
    submission = handed_over(executor, item)
    full = answer(submission, "QUEUE_FULL")
    full.result.retry_after.FromMilliseconds(50)
    courier_of(executor).coming = [full]
    executor.sync()
    assert item.ti.key in executor.queued_tasks and item.ti.key not in executor.running
    executor.trigger_tasks(8)
    assert len(courier_of(executor).submitted) == 1, "not before the time that the daemon asked for"
    executor._blocked_until = 0.0
    executor.trigger_tasks(8)
    assert [one.submission_id for one in courier_of(executor).submitted] == [submission.submission_id] * 2
    assert executor.get_event_buffer() == {}


def test_a_task_that_another_owner_took_leaves_without_an_event(executor):
    item = make_workload("a")
    submission = handed_over(executor, item)
    courier_of(executor).coming = [event(submission, "RUNNING", kind="OWNER_LOST"), event(submission, "FAILED", "EXIT_CODE")]
    executor.sync()
    assert executor.running == set() and executor.get_event_buffer() == {}


def test_what_the_daemon_reports_is_not_cancelled(executor):
    item = make_workload("a")
    submission = handed_over(executor, item)
    courier_of(executor).coming = [answer(submission, "ACCEPTED", id="t" * 26), event(submission, "LOST", "SANDBOX_LOST", message="gone")]
    executor.sync()
    ((state, info),) = executor.get_event_buffer().values()
    assert state == TaskInstanceState.FAILED and "SANDBOX_LOST" in info and "gone" in info
    assert courier_of(executor).cancelled == []


def test_a_failure_by_airflow_cancels_by_id_once(executor):
    item = make_workload("a")
    submission = handed_over(executor, item)
    courier_of(executor).coming = [answer(submission, "ACCEPTED", id="t" * 26)]
    executor.sync()
    executor.fail(item.ti.key)
    executor.fail(item.ti.key)
    (cancel,) = courier_of(executor).cancelled
    assert cancel["task_id"] == "t" * 26 and executor.running == set()


def test_an_event_of_an_execution_that_was_superseded_says_nothing(executor):
    item = make_workload("a")
    first = handed_over(executor, item)
    second = handed_over(executor, make_workload("a", ti_id=str(item.ti.id)))
    assert first.submission_id != second.submission_id
    courier_of(executor).coming = [event(first, "FAILED", "EXIT_CODE"), answer(first, "ACCEPTED", id="x" * 26)]
    executor.sync()
    assert executor.running == {item.ti.key} and executor.get_event_buffer() == {}
    courier_of(executor).coming = [event(second, "SUCCEEDED", "EXIT_CODE")]
    executor.sync()
    assert [state for state, _ in executor.get_event_buffer().values()] == [TaskInstanceState.SUCCESS] and executor.running == set()


def test_only_the_first_submission_after_a_revoke_replaces(executor):
    item = make_workload("a")
    handed_over(executor, item)
    executor.revoke_task(ti=instance(item))
    assert handed_over(executor, make_workload("a")).spec.on_live_key == task_pb2.ON_LIVE_KEY_REPLACE
    assert handed_over(executor, make_workload("a")).spec.on_live_key == task_pb2.ON_LIVE_KEY_AFTER
    assert executor.get_event_buffer() == {}


def test_nothing_that_airflow_calls_in_its_loop_raises(executor, monkeypatch):
    def broken(*arguments, **more):
        raise RuntimeError("broken")

    item, courier = make_workload("a"), courier_of(executor)
    submission = handed_over(executor, item)
    for name in ("cancel", "adopt", "ack"):
        monkeypatch.setattr(courier, name, broken)
    executor.revoke_task(ti=instance(item))
    assert executor.try_adopt_task_instances([instance(item)]) == [], "what is returned runs again"
    courier.coming = [Answered(submission.submission_id, None), event(submission, "RUNNING")]
    executor.sync()
    monkeypatch.setattr(courier, "news", broken)
    executor.heartbeat()
    executor.end()
    executor.terminate()


def test_slots_are_what_the_daemon_has_left_and_never_below_zero(executor):
    courier = courier_of(executor)
    assert executor.slots_available == 8

    def capacity(**fields):
        courier.capacity = pb.GetCapacityResponse(**{"accepting": True, "max_running": 10, **fields})
        executor._slots._others.clear()
        executor.sync()
        return executor.slots_available

    assert capacity() == 8
    assert capacity(running=7) == 3 and capacity(running=5, queued=10) == 0
    assert capacity(accepting=False) == 0
    handed_over_items = [make_workload("a", map_index=index) for index in range(4)]
    assert capacity() == 8
    for item in handed_over_items:
        executor.queue_workload(item, session=None)
    assert executor.slots_available == 4
    executor.heartbeat()
    assert len(courier.submitted) == 4 and capacity(running=4) == 4, "our own are not others'"
    courier.reachable = False
    assert executor.slots_available == 0


def test_a_short_glance_at_a_full_daemon_takes_no_slots(executor):
    """The answer is older than the ends that were heard meanwhile: the least of the last few counts."""
    courier = courier_of(executor)
    for running in (2, 10, 2):
        courier.capacity = pb.GetCapacityResponse(accepting=True, max_running=10, running=running)
        executor.sync()
    assert executor.slots_available == 8


def test_the_limit_of_the_configured_provider_counts(executor, monkeypatch):
    import dataclasses

    executor._options = dataclasses.replace(executor._options, overrides={"provider": "small"})
    courier_of(executor).capacity = pb.GetCapacityResponse(accepting=True, max_running=100, providers=[
        pb.GetCapacityResponse.Provider(name="small", running=1, max_running=3), pb.GetCapacityResponse.Provider(name="large", max_running=50)])
    executor.sync()
    assert executor.slots_available == 2


def adopted(outcome, item, state="RUNNING", submission_id="0198c7d0-0000-7000-8000-000000000001"):
    result = pb.AdoptResult(outcome=pb.AdoptResult.Outcome.Value(outcome))
    if outcome != "UNKNOWN":
        result.task.CopyFrom(task_pb2.Task(id="t" * 26, submission_id=submission_id, key=_KEYS.of_task(item.ti.key),
                                           state=task_pb2.TaskState.Value(f"TASK_STATE_{state}")))
        result.task.accepted_at.GetCurrentTime()
    return result


def test_a_revoked_orphan_whose_fate_is_open_is_cancelled_by_its_key(executor):
    item, courier = make_workload("a"), courier_of(executor)
    assert executor.try_adopt_task_instances([instance(item)]) == [] and executor.running == {item.ti.key}
    executor.revoke_task(ti=instance(item))
    (cancel,) = courier.cancelled
    assert cancel["task_id"] == "" and cancel["key"].name == "a" and executor.running == set()
    courier.coming = [AdoptedLate([_KEYS.of_task(item.ti.key)], [adopted("LIVE", item)])]
    executor.sync()
    assert executor.running == set() and executor.get_event_buffer() == {}


def test_an_orphan_that_expired_is_let_go_without_a_failure(executor):
    item = make_workload("a")
    result = adopted("TERMINAL", item, "FAILED")
    result.task.reason = task_pb2.REASON_EXPIRED
    courier_of(executor).adoption = [result]
    assert executor.try_adopt_task_instances([instance(item, TaskInstanceState.QUEUED)]) == []
    assert executor.running == set() and [state for state, _ in executor.get_event_buffer().values()] in ([], [TaskInstanceState.QUEUED])
    assert [entry.event for entry in executor._task_event_logs] == ["sandbox expired"]


def test_the_owners_of_adopted_tasks_are_retired_but_never_ourselves(executor):
    items = [make_workload("a", map_index=index) for index in range(3)]
    courier_of(executor).adoption = [adopted("LIVE", item, submission_id=str(index)) for index, item in enumerate(items)]
    assert executor.try_adopt_task_instances([instance(item, job_id=job) for item, job in zip(items, (7, 7, 1))]) == []
    assert courier_of(executor).retired == ["airflow:airflow:7"]


def test_without_a_scheduler_job_each_process_has_an_owner_of_its_own(executor):
    assert executor._owner_of("airflow", 12) == "airflow:airflow:12"
    assert executor._owner_of("airflow", None) != executor._owner_of("airflow", None)


def test_a_debug_dump_shows_keys_and_the_courier_but_no_token(executor):
    item, lines = make_workload("queued_one"), []
    executor.queue_workload(item, session=None)
    executor.log.info = lambda text, *values: lines.append(text % values)
    executor.debug_dump()
    text = "\n".join(lines)
    assert "noted" in text and "queued_one" in text and item.token not in text
    submission = handed_over(executor, item)
    assert item.token not in repr((submission, executor._live, executor._facts))
