"""A secret's value is nowhere but in the task that it was given to."""

import os
import sqlite3
import subprocess

import pytest

from tests.harness import processes
from tests.harness.client import end, spec
from tests.harness.daemon import Daemon
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import until

CANARY = "canary-7d1f4c0e-do-not-tell"


def _files_with(folder, needle):
    found = []
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    if needle in file.read():
                        found.append(path)
    return found


def _secret_spec(command, **fields):
    item = spec(shell=command, **fields)
    item.secrets["TOKEN"].value = CANARY
    item.files.add(path="key", content=CANARY.encode(), secret=True)
    return item


def _wait_in_task(folder):
    """Shell text: the secret is there; says so in a file; then waits to be told to end."""
    return (f'[ "${{#TOKEN}}" = {len(CANARY)} ] && [ "$(wc -c < key)" = {len(CANARY)} ] && touch {folder}/there && '
            f'mkfifo {folder}/end && read -r x < {folder}/end')


def test_a_canary_is_found_nowhere(daemon):
    needle, client = CANARY.encode(), daemon.client
    item = _secret_spec(_wait_in_task(daemon.folder), owner="test:secret")
    task_id = client.submit(item)
    until(lambda: os.path.exists(f"{daemon.folder}/end"), "the task sees its secret")
    others = []
    for pid in processes.of_folder(daemon.folder):
        for kind in ("cmdline", "environ"):
            with open(f"/proc/{pid}/{kind}", "rb") as file:
                if needle in file.read():
                    others.append((kind, processes.arguments(pid)))
    # Only the command itself (sh, its children) has it, and only in its environment.
    assert others and all(kind == "environ" and arguments[0].endswith("sh") for kind, arguments in others), others
    task = client.get(task_id)
    assert needle not in task.SerializeToString() and list(task.secret_names) == ["TOKEN"]
    assert client.submit_all([item])[0].outcome == executor_pb2.SubmitResult.DUPLICATE
    task_files = [path for path in _files_with(daemon.folder, needle) if not path.endswith("/key")]
    assert not task_files, task_files
    daemon.restart()
    with open(f"{daemon.folder}/end", "w", encoding="utf-8") as fifo:
        fifo.write("x\n")
    assert end(client.wait(task_id))[0] == "SUCCEEDED"
    client.wait(task_id, executor_pb2.WaitTaskRequest.LOG_COMPLETE)
    assert all(needle not in e.SerializeToString() for e in client.events("test:secret"))
    until(lambda: not _files_with(daemon.folder, needle), "the secret file is gone with its sandbox")
    daemon.terminate()
    assert not _files_with(daemon.folder, needle)
    with sqlite3.connect(os.path.join(daemon.state_dir, "state.db")) as store:
        assert CANARY not in "\n".join(store.iterdump())


def test_a_rejected_secret_is_not_told_in_the_error(daemon):
    item = _secret_spec("true", override={"no_such_key": 1})
    result = daemon.client.submit_all([item])[0]
    assert result.outcome == executor_pb2.SubmitResult.REJECTED
    assert CANARY not in str(result)
    assert CANARY not in daemon.log_text()


def test_a_command_that_cannot_start_does_not_tell(daemon):
    item = spec(argv=["/no/such/program"], owner="test:secret")
    item.secrets["TOKEN"].value = CANARY
    task = daemon.client.run(item)
    assert end(task)[1] == "START_FAILED" and CANARY not in str(task)


@pytest.mark.parametrize("victim", ["daemon", "launcher"])
def test_no_core_file_carries_it(victim):
    with Daemon() as daemon:
        client = daemon.start().client
        task_id = client.submit(_secret_spec(_wait_in_task(daemon.folder)))
        until(lambda: os.path.exists(f"{daemon.folder}/end"), "the task sees its secret")
        pid = daemon.process.pid if victim == "daemon" else daemon.launcher_pid()
        with open(f"/proc/{pid}/limits", encoding="utf-8") as limits:
            core = [line for line in limits if line.startswith("Max core file size")][0].split()[4]
        assert core == "0", "core files must be switched off"
        # What gcore would write is the process's memory: the sealed value must not lie there in clear text any more.
        assert not subprocess.run(["grep", "-c", CANARY, f"/proc/{pid}/environ"], capture_output=True, check=False).stdout.strip(b"0\n")
        client.cancel(task_id, force=True)
        client.wait(task_id)


def test_output_is_redacted_without_moving_offsets(daemon):
    task = daemon.client.run(_secret_spec('printf "before %s after" "$TOKEN"'))
    task = daemon.client.wait(task.id, executor_pb2.WaitTaskRequest.LOG_COMPLETE)
    expected = f"before {'*' * len(CANARY)} after".encode()
    assert daemon.client.log(task.id) == expected
    assert daemon.stored_log(task) == expected
