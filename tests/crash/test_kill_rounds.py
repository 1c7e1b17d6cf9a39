"""kill -9 of the daemon at random moments under load: nothing lost, nothing twice, nothing left behind."""

import os
import random
import signal
import threading

import pytest

from tests.harness import processes
from tests.harness.client import TERMINAL, Subscriber, end, spec
from tests.harness.daemon import Daemon
from tests.harness.stubs import admin_pb2, executor_pb2, task_pb2
from tests.harness.waiting import SLOWNESS, until

TASKS = 200
ROUNDS = 50 if os.environ.get("BOXKEEPER_FULL") else 3
OWNER = "test:crash"


def _task(folder, number):
    """Appends one line to a file of its own, prints a known log, and ends in one of several ways."""
    code = number % 4
    shell = (f"echo ran >> {folder}/ran.{number}; n=0; while [ $n -lt 200 ]; do echo line {number} $n; n=$((n+1)); done; "
             f"echo last {number} >&2; {'kill -9 $$' if code == 3 else f'exit {code}'}")
    return spec(shell=shell, owner=OWNER, name=f"crash-{number}")


def _expected_end(number):
    code = number % 4
    if code == 3:
        return ("FAILED", "SIGNAL", None, 9)
    return ("SUCCEEDED" if code == 0 else "FAILED", "EXIT_CODE", code, None)


def _expected_log(number):
    return "".join(f"line {number} {n}\n" for n in range(200)).encode()


class _Submitter(threading.Thread):
    """Submits every task and repeats what was not answered, as a client behind a broken connection does."""

    def __init__(self, client, folder):
        super().__init__(daemon=True)
        self._client = client
        self._specs = [_task(folder, number) for number in range(TASKS)]
        self.ids = {}
        self.failure = None

    def run(self):
        for number, item in enumerate(self._specs):
            while number not in self.ids:
                try:
                    result = self._client.submit_all([item])[0]
                except Exception as error:  # pylint: disable=broad-except
                    self.failure = error  # the daemon was killed under the call: again, same submission
                    continue
                assert result.outcome in (executor_pb2.SubmitResult.ACCEPTED, executor_pb2.SubmitResult.DUPLICATE), result
                self.ids[number] = result.id


def _check_files(folder):
    for number in range(TASKS):
        with open(f"{folder}/ran.{number}", encoding="utf-8") as file:
            assert file.read() == "ran\n", f"task {number} did not run exactly once"


def _check_events(events, ids):
    """Exactly one terminal event per task, in order, only LOG_COMPLETE after it; repeats have equal cursors."""
    unique = list({e.cursor: e for e in events}.values())
    for number, task_id in ids.items():
        own = [e for e in unique if e.task.id == task_id]
        terminal = [i for i, e in enumerate(own) if e.type == task_pb2.EVENT_TYPE_STATE and e.task.state in TERMINAL]
        assert len(terminal) == 1, (number, own)
        after = own[terminal[0] + 1:]
        assert [e.type for e in after] == [task_pb2.EVENT_TYPE_LOG_COMPLETE], number


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_kill_9_at_random_moments_under_load(round_number):
    seed = int(os.environ.get("BOXKEEPER_SEED", "20260")) + round_number
    rng = random.Random(seed)
    print(f"BOXKEEPER_SEED={seed}")
    with Daemon({"scheduling": {"max_running": 40, "poll_interval": "500ms"}}) as daemon:
        client = daemon.start().client
        watcher = Subscriber(client, OWNER)
        submitter = _Submitter(client, daemon.folder)
        submitter.start()
        pause = threading.Event()
        for _ in range(4):
            # Random moments are the point here: between 0 and 0.6 s after the daemon came up.
            pause.wait(rng.random() * 0.6)
            daemon.kill(signal.SIGKILL)
            pause.wait(rng.random() * 0.1)
            daemon.start(seconds=60)
        submitter.join(120 * SLOWNESS)
        assert len(submitter.ids) == TASKS, submitter.failure
        assert len(set(submitter.ids.values())) == TASKS
        tasks = {t.id: t for t in client.wait_all(list(submitter.ids.values()), executor_pb2.WaitTaskRequest.LOG_COMPLETE, seconds=180)}
        for number, task_id in submitter.ids.items():
            task = tasks[task_id]
            assert end(task) == _expected_end(number), (number, end(task), task.message)
            assert client.log(task_id) == _expected_log(number)
            assert daemon.stored_log(task) == _expected_log(number)
            assert daemon.stored_log(task, "stderr") == f"last {number}\n".encode()
        _check_files(daemon.folder)
        until(lambda: len({e.task.id for e in watcher.events if e.type == task_pb2.EVENT_TYPE_LOG_COMPLETE}) == TASKS, "every LOG_COMPLETE")
        watcher.stop()
        _check_events(watcher.events, submitter.ids)
        until(lambda: not client.call(client.admin.ListSandboxes, admin_pb2.ListSandboxesRequest()).sandboxes, "no sandbox left")
        assert daemon.terminate() == 0
        until(lambda: all(processes.arguments(p)[:1] and processes.arguments(p)[0].endswith("boxlaunch")
                          for p in processes.of_folder(daemon.folder)), "only the launcher is left")
