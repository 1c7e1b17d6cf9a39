"""SandboxExecutor with a real daemon: what is handed over runs, and its end is told once."""

from executor_stand import make_workload


def address(daemon):
    return f"unix:{daemon.socket}"


def test_a_task_runs_and_its_success_is_told_once(stand, daemon):
    executor = stand.executor(address(daemon))
    item = make_workload("ok")
    stand.queue(executor, item)
    assert stand.end_of(executor, item) == ("success", None)
    stand.beat_for(executor, 0.3)
    assert len(stand.ends()) == 1 and executor.running == set() and len(stand.runs()) == 1
    (key, state, task_id), = [event for event in stand.events if event[1] == "queued"]
    assert key == item.ti.key and daemon.client.get(task_id).key.name == "ok"


def test_a_failure_says_why(stand, daemon):
    executor = stand.executor(address(daemon))
    item = make_workload("exit_3")
    stand.queue(executor, item)
    state, info = stand.end_of(executor, item)
    assert state == "failed" and "EXIT_CODE" in info and "exit code 3" in info
    (entry,) = executor._task_event_logs
    assert entry.event == "sandbox failed" and entry.task_id == "exit_3" and "EXIT_CODE" in entry.extra
