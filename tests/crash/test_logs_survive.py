"""The daemon, the log store and sandboxes die in turn under chatty tasks: every stored stream is what its task wrote."""

import hashlib
import json
import os
import random
import signal
import threading

import pytest

from tests.crash import chatter
from tests.harness import processes
from tests.harness.client import end
from tests.harness.daemon import Daemon
from tests.harness.log_stores import KINDS, missing
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import SLOWNESS, until

TASKS = 100
LINES = 400 if os.environ.get("BOXKEEPER_FULL") else 150
ROUNDS = 6 if os.environ.get("BOXKEEPER_FULL") else 2
LOG_COMPLETE = executor_pb2.WaitTaskRequest.LOG_COMPLETE


def _kill_sandbox(folder, task):
    """kill -9 of the task's own process, as an OOM killer or an impatient operator does it; False if it had ended."""
    for pid in processes.of_folder(folder):
        if task.noted.encode() in b"\0".join(a.encode() for a in processes.arguments(pid)) and processes.name(pid).startswith("python3"):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            return True
    return False


def _exit_record(store, task_id):
    return json.loads(store.get(f"_boxkeeper/{task_id}/exit.json"))


def _check(store, item, task, killed):
    """Both streams, against what the task writes, what its exit record says and what the daemon reads."""
    record = _exit_record(store, item.id)
    whole = item not in killed or os.path.exists(item.noted)
    assert end(task)[1] == ("EXIT_CODE" if whole and item not in killed else end(task)[1]), end(task)
    assert task.log.complete and not task.log.dropped_bytes
    for stream in chatter.STREAMS:
        stored = store.stream(task.log.path, stream)
        item.check(stored, stream, whole)
        told = record["streams"][stream]
        assert told["stored_bytes"] == len(stored) and told["sha256"] == hashlib.sha256(stored).hexdigest(), (told, len(stored))


@pytest.mark.parametrize("kind", KINDS)
def test_every_stored_stream_is_what_its_task_wrote(kind):
    if reason := missing(kind):
        pytest.skip(reason)
    seed = int(os.environ.get("BOXKEEPER_SEED", "20261"))
    print(f"BOXKEEPER_SEED={seed}")
    rng, pause = random.Random(seed), threading.Event()
    with KINDS[kind]() as store, Daemon({"logs": store.config}, environment=store.environment) as daemon:
        client = daemon.start().client
        tasks = chatter.make(daemon.folder, TASKS, LINES, seed)
        for item, result in zip(tasks, client.submit_all([t.spec for t in tasks])):
            item.id = result.id
        killed = []
        for number in range(3 * ROUNDS):
            # Random moments are the point here.
            pause.wait(rng.random() * 0.5)
            if number % 3 == 0:
                daemon.kill(signal.SIGKILL)
                pause.wait(rng.random() * 0.2)
                daemon.start(seconds=60)
            elif number % 3 == 1:
                store.kill()
                pause.wait(rng.random())
                store.start()
            else:
                victim = rng.choice(tasks)
                if _kill_sandbox(daemon.folder, victim):
                    killed.append(victim)
        ended = {t.id: t for t in client.wait_all([t.id for t in tasks], LOG_COMPLETE, seconds=240 * SLOWNESS)}
        for item in tasks:
            _check(store, item, ended[item.id], killed)
        assert daemon.terminate() == 0
        until(lambda: all("".join(processes.arguments(p)[:1]).endswith("boxlaunch") for p in processes.of_folder(daemon.state_dir)),
              "only the launcher is left")
