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
from tests.harness.log_stores import KINDS, Unavailable
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import until

TASKS = 100
LINES = 400 if os.environ.get("BOXKEEPER_FULL") else 150
ROUNDS = 6 if os.environ.get("BOXKEEPER_FULL") else 2
LAYOUTS = ("plain", "metaflow", "airflow")
LOG_COMPLETE = executor_pb2.WaitTaskRequest.LOG_COMPLETE


def _kill_sandbox(client, folder, victim):
    """kill -9 of the task's own process, as an OOM killer or an impatient operator does it."""
    client.wait_running(victim.id, seconds=60)

    def killed():
        for pid in processes.of_folder(folder):
            arguments = processes.arguments(pid)
            if arguments[:1] == ["python3"] and arguments[3:4] == [str(victim.seed)]:
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    until(killed, f"the process of chatter {victim.seed}")


def _check_streams(store, item, task, facts):
    """plain and metaflow: both streams, against what the task writes and what its exit record says."""
    for stream in chatter.STREAMS:
        stored = store.stream(task.log.path, stream)
        item.check(stored, stream)
        assert facts[stream]["stored_bytes"] == len(stored), (facts, len(stored))
        assert facts[stream]["sha256"] == hashlib.sha256(stored).hexdigest(), facts


def _check_records(store, item, task, facts):
    """airflow: the pieces in order, and the text of each stream's records."""
    merged = b"".join(store.get(name) for name in store.names(task.log.path + "."))
    assert facts["merged"]["stored_bytes"] == len(merged), (facts, len(merged))
    assert facts["merged"]["sha256"] == hashlib.sha256(merged).hexdigest(), facts
    records = [json.loads(line) for line in merged.splitlines()]
    assert [r["reason"] for r in records if r["logger"] == "boxkeeper"] == (["SIGNAL"] if item.victim else [])
    for stream in chatter.STREAMS:
        text = "".join(r["event"] + "\n" for r in records if r["logger"] == f"task.{stream}").encode()
        if item.victim:
            text = text[:-1]  # the last line may be half a one
        item.check(text, stream)


def _check(store, item, task):
    expected = ("FAILED", "SIGNAL", None, signal.SIGKILL) if item.victim else ("SUCCEEDED", "EXIT_CODE", 0, None)
    assert end(task) == expected, (item.seed, end(task), task.message)
    assert task.log.complete and not task.log.dropped_bytes
    facts = json.loads(store.get(f"_boxkeeper/{item.id}/exit.json"))["stored"]
    assert facts["layout"] == item.layout
    check = _check_records if item.layout == "airflow" else _check_streams
    check(store, item, task, facts)


@pytest.mark.parametrize("kind", KINDS)
def test_every_stored_stream_is_what_its_task_wrote(kind):
    seed = int(os.environ.get("BOXKEEPER_SEED", "20261"))
    print(f"BOXKEEPER_SEED={seed}")
    rng, pause = random.Random(seed), threading.Event()
    try:
        opened = KINDS[kind]()
    except Unavailable as why:
        pytest.skip(str(why))
    with opened as store, Daemon({"logs": store.config}, environment=store.environment) as daemon:
        client = daemon.start().client
        tasks = chatter.make(TASKS, LINES, LAYOUTS, ROUNDS, seed)
        for item, result in zip(tasks, client.submit_all([t.spec for t in tasks])):
            assert result.outcome == executor_pb2.SubmitResult.ACCEPTED, result
            item.id = result.id
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
                _kill_sandbox(client, daemon.folder, tasks[number // 3])
        ended = {t.id: t for t in client.wait_all([t.id for t in tasks], LOG_COMPLETE, seconds=240)}
        for item in tasks:
            _check(store, item, ended[item.id])
        assert daemon.terminate() == 0
        until(lambda: all("".join(processes.arguments(p)[:1]).endswith("boxlaunch") for p in processes.of_folder(daemon.state_dir)),
              "only the launcher is left")
