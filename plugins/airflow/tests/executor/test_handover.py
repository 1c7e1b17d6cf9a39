"""SandboxExecutor with a real daemon: revoked, requeued, deferred, adopted. Never two runs of one execution."""

import datetime

import pytest
from airflow.executors.base_executor import BaseExecutor
from airflow.utils.state import TaskInstanceState
from executor_stand import address, gone, instance, make_workload
from tests.harness.daemon import Daemon
from tests.harness.waiting import until


def test_a_revoked_task_is_stopped_without_an_event(stand, daemon):
    executor = stand.executor(address(daemon))
    item = make_workload("wait_it")
    stand.queue(executor, item)
    pid = stand.started(executor, "wait_it")
    executor.revoke_task(ti=instance(item))
    assert not executor.has_task(instance(item))
    stand.beat_until(executor, lambda: gone(pid), "the task is gone")
    stand.beat_for(executor, 0.3)
    assert not stand.ends() and not executor._task_event_logs


@pytest.mark.everyday
def test_the_key_of_a_revoked_task_can_be_queued_at_once(stand, daemon):
    executor = stand.executor(address(daemon))
    item = make_workload("wait_it")
    stand.queue(executor, item)
    pid = stand.started(executor, "wait_it")
    executor.revoke_task(ti=instance(item))
    again = make_workload("wait_it", ti_id=str(item.ti.id))
    stand.queue(executor, again)
    stand.beat_until(executor, lambda: gone(pid) and len(stand.runs()) == 2, "the second replaces the first")
    stand.go("wait_it")
    assert stand.end_of(executor, again) == ("success", None)
    stand.beat_for(executor, 0.3)
    assert len(stand.ends()) == 1 and not executor._task_event_logs


def test_a_revoked_task_that_was_never_handed_over_leaves_nothing(stand):
    with Daemon() as daemon:
        executor = stand.executor(address(daemon))
        item, other = make_workload("ok", map_index=0), make_workload("ok", map_index=1)
        stand.queue(executor, item, other)
        stand.beat(executor)
        executor.revoke_task(ti=instance(item))
        executor.revoke_task(ti=instance(make_workload("never_queued")))
        daemon.start()
        assert stand.end_of(executor, other) == ("success", None)
        assert [run[1] for run in stand.runs()] == ["1"] and len(stand.ends()) == 1


def test_a_deferred_task_comes_back_under_its_key_while_its_predecessor_ends(stand, daemon):
    executor = stand.executor(address(daemon))
    item = make_workload("wait_it")
    stand.queue(executor, item)
    stand.started(executor, "wait_it")
    back = make_workload("wait_it", ti_id=str(item.ti.id))
    stand.queue(executor, back)  # the scheduler was faster than the daemon
    assert executor.has_task(back.ti)
    stand.beat_until(executor, lambda: len(list(daemon.client.list())) == 2, "both are with the daemon")
    assert len(stand.runs()) == 1
    stand.go("wait_it")
    assert stand.end_of(executor, back) == ("success", None)
    assert len(stand.runs()) == 2 and len(stand.ends()) == 1 and executor.running == set()


@pytest.mark.everyday
def test_a_second_scheduler_adopts_what_runs_and_what_has_ended(stand, daemon):
    first = stand.executor(address(daemon), job_id=1)
    live, ended, failed = make_workload("wait_live"), make_workload("ok"), make_workload("exit_4")
    stand.queue(first, live, ended, failed)
    stand.started(first, "wait_live")
    until(lambda: sum(task.ended_at.seconds > 0 for task in daemon.client.list()) == 2, "two have ended")
    first.end()
    stand.events.clear()  # what the first has heard it can have told nobody
    second = stand.executor(address(daemon), job_id=2)
    never = make_workload("never")
    orphans = [instance(item, job_id=1) for item in (live, ended, failed, never)]
    unknown = second.try_adopt_task_instances(orphans)
    assert [ti.task_id for ti in unknown] == ["never"] and second.running == {live.ti.key}
    assert second.try_adopt_task_instances(orphans[:1]) == [], "again changes nothing"
    assert stand.end_of(second, ended) == ("success", None)
    assert stand.end_of(second, failed)[0] == "failed"
    stand.go("wait_live")
    assert stand.end_of(second, live) == ("success", None)
    assert len(stand.runs()) == 3 and len([end for end in stand.ends() if end[0] == live.ti.key]) == 1
    until(lambda: not list(daemon.client.events("airflow:airflow:1")), "the dead scheduler's events are acknowledged")


def test_orphans_are_kept_while_the_daemon_is_away_and_settled_when_it_is_back(stand, daemon):
    first = stand.executor(address(daemon), job_id=1)
    live = make_workload("wait_live")
    stand.queue(first, live)
    stand.started(first, "wait_live")
    first.end()
    daemon.kill()
    second = stand.executor(address(daemon), job_id=2, adopt_timeout=0.5)
    never = make_workload("never")
    assert second.try_adopt_task_instances([instance(live, job_id=1), instance(never, job_id=1)]) == [], "what is returned would run twice"
    assert second.running == {live.ti.key, never.ti.key}
    daemon.start()
    stand.beat_until(second, lambda: second.running == {live.ti.key}, "the unknown one is let go")
    (entry,) = second._task_event_logs
    assert entry.event == "sandbox unknown" and entry.task_id == "never" and not stand.ends()
    stand.go("wait_live")
    assert stand.end_of(second, live) == ("success", None) and len(stand.runs()) == 1


def test_an_earlier_execution_does_not_speak_for_a_task_that_was_queued_again(stand, daemon):
    """Deferred, then queued again by a scheduler that died before it handed the second execution over."""
    first = stand.executor(address(daemon), job_id=1)
    item = make_workload("ok")
    stand.queue(first, item)
    assert stand.end_of(first, item) == ("success", None)
    first.end()
    stand.events.clear()
    second = stand.executor(address(daemon), job_id=2)
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
    queued = instance(item, TaskInstanceState.QUEUED, queued_at=later, job_id=1, external_id="0198c7d0-0000-7000-8000-00000000000a")
    assert second.try_adopt_task_instances([queued]) == [queued]
    stand.beat_for(second, 0.3)
    assert not stand.ends() and second.running == set()


@pytest.mark.skipif(not hasattr(BaseExecutor, "pre_assigns_external_executor_id"), reason="this Airflow gives enqueueings no id")
def test_the_id_of_the_enqueueing_is_the_submission_id(stand, daemon):
    first = stand.executor(address(daemon), job_id=1)
    given = "0198c7d0-0000-7000-8000-00000000000b"
    item = make_workload("wait_it", external_id=given)
    stand.queue(first, item)
    stand.started(first, "wait_it")
    (task,) = daemon.client.list()
    assert task.submission_id == given
    first.end()
    second = stand.executor(address(daemon), job_id=2)
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)  # the clocks differ: the id decides
    assert second.try_adopt_task_instances([instance(item, TaskInstanceState.QUEUED, queued_at=later, external_id=given)]) == []
    stand.go("wait_it")
    assert stand.end_of(second, item) == ("success", None)


def test_two_schedulers_hear_of_their_own_tasks_only(stand, daemon):
    first, second = stand.executor(address(daemon), job_id=1), stand.executor(address(daemon), job_id=2)
    one, two = make_workload("ok", map_index=1), make_workload("ok", map_index=2)
    stand.queue(first, one)
    stand.queue(second, two)
    assert stand.end_of(first, one) == ("success", None)
    assert stand.ends(two.ti.key) == []
    assert stand.end_of(second, two) == ("success", None)
    assert len(stand.ends()) == 2
