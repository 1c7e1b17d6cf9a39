"""Each way a task can end: right state, reason and code, and exactly one terminal event."""

import os
import signal

import pytest

from tests.harness import processes
from tests.harness.client import TERMINAL, end, forever, spec, state_name
from tests.harness.daemon import Daemon
from tests.harness.stubs import task_pb2
from tests.harness.waiting import until


def assert_one_terminal_event(client, owner, task):
    """The owner's stream shows one terminal event for the task, equal to `task`, and after it only LOG_COMPLETE."""
    events = [e for e in client.events(owner) if e.task.id == task.id]
    states = [e for e in events if e.type == task_pb2.EVENT_TYPE_STATE]
    terminal = [e for e in states if e.task.state in TERMINAL]
    assert len(terminal) == 1, [state_name(e.task.state) for e in states]
    assert terminal[0].task.state == task.state and terminal[0].task.reason == task.reason
    after = events[events.index(terminal[0]) + 1:]
    assert {e.type for e in after} <= {task_pb2.EVENT_TYPE_LOG_COMPLETE}
    assert len({e.cursor for e in events}) == len(events)


@pytest.mark.parametrize(("command", "expected"), [
    ({"argv": ["true"]}, ("SUCCEEDED", "EXIT_CODE", 0, None)),
    ({"shell": "exit 7"}, ("FAILED", "EXIT_CODE", 7, None)),
    ({"shell": "kill -9 $$"}, ("FAILED", "SIGNAL", None, 9)),
    ({"shell": "kill -SEGV $$"}, ("FAILED", "SIGNAL", None, 11)),
    ({"shell": "exit 137"}, ("FAILED", "EXIT_CODE", 137, None)),
    ({"python": "import sys; sys.exit(3)"}, ("FAILED", "EXIT_CODE", 3, None)),
])
def test_the_commands_own_end_is_told_exactly(shared, command, expected):
    owner = f"test:{command}"
    task = shared.client.run(spec(owner=owner, **command))
    assert end(task) == expected
    assert task.user_code_started == task_pb2.USER_CODE_STARTED_YES
    assert task.attester == task_pb2.ATTESTER_LAUNCHER
    assert_one_terminal_event(shared.client, owner, task)


@pytest.mark.parametrize("argv", [["/no/such/program"], ["no-such-program-on-path"], ["/etc/passwd"]])
def test_a_command_that_cannot_start_says_so(shared, argv):
    task = shared.client.run(spec(argv=argv, owner=f"test:{argv}"))
    assert end(task) == ("FAILED", "START_FAILED", None, None)
    assert argv[0] in task.message
    assert task.user_code_started == task_pb2.USER_CODE_STARTED_NO
    assert_one_terminal_event(shared.client, f"test:{argv}", task)


def test_a_run_over_its_timeout_is_stopped(shared):
    task = shared.client.run(spec(argv=forever(), owner="test:timeout", override={"timeout": "1s", "grace": "1s"}))
    assert end(task)[:2] == ("FAILED", "RUN_TIMEOUT")
    assert task.ended_at.ToNanoseconds() - task.started_at.ToNanoseconds() < 4e9
    assert_one_terminal_event(shared.client, "test:timeout", task)


def test_a_start_deadline_already_past_is_accepted_and_expires(shared):
    past = spec(argv=["true"], owner="test:expired", override={"start_deadline": "2020-01-01T00:00:00Z"})
    task = shared.client.run(past)
    assert end(task) == ("FAILED", "EXPIRED", None, None)
    assert task.user_code_started == task_pb2.USER_CODE_STARTED_NO
    assert_one_terminal_event(shared.client, "test:expired", task)


def test_cancelled_while_queued_never_starts():
    with Daemon({"scheduling": {"max_running": 1}}) as daemon:
        client = daemon.start().client
        blocker = client.submit(spec(argv=forever()))
        client.wait_running(blocker)
        mark = os.path.join(daemon.folder, "mark")
        waiting = client.submit(spec(argv=["touch", mark], owner="test:queued"))
        assert state_name(client.get(waiting).state) == "QUEUED"
        assert client.cancel(waiting) == ["CANCELLED"]
        task = client.wait(waiting)
        assert end(task) == ("CANCELLED", "CANCELLED", None, None)
        assert task.user_code_started == task_pb2.USER_CODE_STARTED_NO
        assert client.cancel(waiting) == ["ALREADY_TERMINAL"]
        assert_one_terminal_event(client, "test:queued", task)
        assert client.cancel(blocker) == ["STOPPING"]
        client.wait(blocker)
        assert not os.path.exists(mark)


def test_cancelled_while_it_is_being_created(daemon):
    client = daemon.client
    client.run(spec(argv=["true"]))
    launcher = daemon.launcher_pid()
    os.kill(launcher, signal.SIGSTOP)  # creates hang
    mark = os.path.join(daemon.folder, "mark")
    task_id = client.submit(spec(argv=["touch", mark], owner="test:creating"))
    until(lambda: state_name(client.get(task_id).state) == "CREATING", "CREATING")
    assert client.cancel(task_id) == ["CANCELLED"]
    os.kill(launcher, signal.SIGCONT)
    task = client.wait(task_id)
    assert end(task) == ("CANCELLED", "CANCELLED", None, None)
    assert_one_terminal_event(client, "test:creating", task)
    until(lambda: daemon.metric("boxkeeper_live_sandboxes") == 0, "no sandbox left")
    assert not os.path.exists(mark)


def test_cancelled_at_any_moment_of_the_start(daemon):
    """Cancels race with starts: whatever the answer was, the end is CANCELLED, and CANCELLED means it never started."""
    client, marks = daemon.client, os.path.join(daemon.folder, "marks")
    os.mkdir(marks)
    answers = {}
    for number in range(60):
        mark = os.path.join(marks, str(number))
        task_id = client.submit(spec(argv=["sh", "-c", 'touch "$0"; exec tail -f /dev/null', mark], owner="test:starting"))
        if number % 3 == 1:
            until(lambda: state_name(client.get(task_id).state) != "QUEUED", "left the queue")
        answers[task_id] = (client.cancel(task_id, force=True)[0], mark)
    for task in client.wait_all(list(answers)):
        outcome, mark = answers[task.id]
        assert end(task)[:2] == ("CANCELLED", "CANCELLED"), (outcome, end(task), task.message)
        if outcome == "CANCELLED" or task.user_code_started == task_pb2.USER_CODE_STARTED_NO:
            assert not os.path.exists(mark), outcome
        assert_one_terminal_event(client, "test:starting", task)


def test_cancelled_while_running_is_fenced_first(daemon):
    client = daemon.client
    task_id = client.submit(spec(argv=forever(), owner="test:running", override={"env": {"MARK": f"{daemon.folder}/m"}}))
    client.wait_running(task_id)
    assert client.cancel(task_id, reason="enough") == ["STOPPING"]
    task = client.wait(task_id)
    assert end(task)[:2] == ("CANCELLED", "CANCELLED")
    assert "enough" in task.message
    assert_one_terminal_event(client, "test:running", task)
    assert not [p for p in processes.of_folder(daemon.folder) if processes.arguments(p)[:1] == ["tail"]]


def test_events_survive_acknowledgement_and_reconnect(daemon):
    client = daemon.client
    first = client.run(spec(argv=["true"], owner="test:ack"))
    cursor = client.events("test:ack")[-1].cursor
    client.ack("test:ack", cursor)
    second = client.run(spec(argv=["true"], owner="test:ack"))
    assert {e.task.id for e in client.events("test:ack")} >= {second.id}
    assert not [e for e in client.events("test:ack") if e.task.id == first.id and e.type == task_pb2.EVENT_TYPE_STATE]
    daemon.restart()
    assert {e.task.id for e in daemon.client.events("test:ack") if e.type == task_pb2.EVENT_TYPE_STATE} == {second.id}
