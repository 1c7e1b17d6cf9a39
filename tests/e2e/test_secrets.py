"""A secret's value is nowhere but in the task that it was given to."""

import os
import sqlite3

import pytest

from tests.harness import processes
from tests.harness.client import end, spec
from tests.harness.daemon import Daemon
from tests.harness.gate import Gate
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


def _wait_in_task(daemon, gate):
    """Shell text: the secret is there; says so by a file; then waits at the gate."""
    return (f'[ "${{#TOKEN}}" = {len(CANARY)} ] && [ "$(wc -c < key)" = {len(CANARY)} ] && touch {daemon.folder}/there && '
            f'{gate.wait}')


def _wait_until_there(daemon):
    until(lambda: os.path.exists(f"{daemon.folder}/there"), "the task sees its secret")


def test_a_canary_is_found_nowhere(daemon):
    needle, client, gate = CANARY.encode(), daemon.client, Gate(daemon.folder)
    item = _secret_spec(_wait_in_task(daemon, gate), owner="test:secret")
    task_id = client.submit(item)
    _wait_until_there(daemon)
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
    gate.open()
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
        task_id = client.submit(_secret_spec(_wait_in_task(daemon, Gate(daemon.folder))))
        _wait_until_there(daemon)
        pid = daemon.process.pid if victim == "daemon" else daemon.launcher_pid()
        with open(f"/proc/{pid}/limits", encoding="utf-8") as limits:
            core = [line for line in limits if line.startswith("Max core file size")][0].split()[4]
        # One byte is below any core file's size, and the kernel's word for "not to a pipe either"; sanitizers set it.
        assert core in ("0", "1"), "core files must be switched off"
        client.cancel(task_id, force=True)
        client.wait(task_id)


def test_output_is_redacted_without_moving_offsets(daemon):
    task = daemon.client.run(_secret_spec('printf "before %s after" "$TOKEN"'))
    task = daemon.client.wait(task.id, executor_pb2.WaitTaskRequest.LOG_COMPLETE)
    expected = f"before {'*' * len(CANARY)} after".encode()
    assert daemon.client.log(task.id) == expected
    assert daemon.stored_log(task) == expected


def test_references_are_read_by_the_daemon_where_it_allows_them(tmp_path):
    (tmp_path / "token").write_text("from-file\n", encoding="utf-8")
    config = {"secrets": {"allow_env": ["GIVEN"], "allow_files": [f"{tmp_path}/"]}}
    with Daemon(config, environment={"GIVEN": "from-env"}) as daemon:
        client = daemon.start().client
        item = spec(shell='[ "$A" = from-env ] && [ "$B" = from-file ]')
        item.secrets["A"].env = "GIVEN"
        item.secrets["B"].file = f"{tmp_path}/token"
        assert end(client.run(item))[0] == "SUCCEEDED"
        item = spec(argv=["true"])
        item.secrets["A"].env = "PATH"
        item.secrets["B"].file = "/etc/passwd"
        item.secrets["C"].file = f"{tmp_path}/absent"
        result = client.submit_all([item])[0]
        assert sorted(v.field for v in result.violations) == ["secrets.A.env", "secrets.B.file", "secrets.C.file"]
