"""The disk: full, damaged, restored from a backup, too new."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess

import grpc
import pytest

from tests.harness.client import end, forever, spec
from tests.harness.daemon import Daemon
from tests.harness.gate import Gate
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import SLOWNESS, until


@contextlib.contextmanager
def _small_disk(folder, megabytes):
    """A tmpfs of its own at FOLDER/state; needs root and the right to mount, which the CI machine has."""
    path = os.path.join(folder, "state")
    os.makedirs(path, exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", path], check=False, capture_output=True, text=True)
    if mounted.returncode != 0:
        shutil.rmtree(folder)
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)
        shutil.rmtree(folder)  # the daemon could not remove the mount point


def _try_to_submit(client, **fields):
    """Outcome name of one submission, or the status code's name."""
    try:
        result = client.submit_all([spec(argv=["true"], **fields)])[0]
        return executor_pb2.SubmitResult.Outcome.Name(result.outcome)
    except grpc.RpcError as error:
        return error.code().name


def test_a_full_disk_refuses_submits_keeps_running_tasks_and_recovers_by_itself():
    daemon = Daemon()
    with _small_disk(daemon.folder, 48), daemon:
        client, gate = daemon.start().client, Gate(daemon.folder)
        running = client.submit(spec(shell=f"{gate.wait}; exit 9"))
        client.wait_running(running)
        filler = os.path.join(daemon.state_dir, "filler")
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        until(lambda: _try_to_submit(client, labels={"fill": "x" * 200}) in ("RESOURCE_EXHAUSTED", "QUEUE_FULL"),
              "submits are refused")
        status, text = daemon.http("/readyz")
        assert status == 503 and text
        gate.open()
        assert end(client.wait(running)) == ("FAILED", "EXIT_CODE", 9, None)
        os.remove(filler)
        until(lambda: _try_to_submit(client) == "ACCEPTED", "submits are taken again without a restart")
        daemon.restart()
        assert end(daemon.client.get(running)) == ("FAILED", "EXIT_CODE", 9, None)


def test_a_damaged_wal_refuses_the_start_and_names_the_place(daemon):
    client = daemon.client
    for _ in range(20):
        client.run(spec(argv=["true"]))
    daemon.kill()
    wal = os.path.join(daemon.state_dir, "state.db-wal")
    size = os.path.getsize(wal)
    assert size > 3 * 4120
    with open(wal, "r+b") as file:
        file.seek(32 + 4120 + 100)  # inside the second frame
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0x40]))
    daemon.launch()
    assert daemon.process.wait(30 * SLOWNESS) == 74
    text = daemon.log_tail()
    assert "state.db-wal" in text and "truncate -s 32" in text, text


def test_a_store_of_a_newer_version_is_refused(daemon):
    daemon.client.run(spec(argv=["true"]))
    daemon.terminate()
    with sqlite3.connect(os.path.join(daemon.state_dir, "state.db")) as store:
        store.execute("PRAGMA user_version = 9999")
    daemon.launch()
    assert daemon.process.wait(30 * SLOWNESS) not in (0, None)
    assert "newer" in daemon.log_tail()


def test_a_restored_backup_destroys_nothing_until_its_epoch_is_accepted(daemon):
    """The sandbox of a task that the old store does not know lives on until an operator decides."""
    client = daemon.client
    client.run(spec(argv=["true"]))
    assert daemon.terminate() == 0
    backup = os.path.join(daemon.folder, "backup")
    os.mkdir(backup)
    for name in os.listdir(daemon.state_dir):
        if name.startswith("state.db"):
            shutil.copy(os.path.join(daemon.state_dir, name), backup)
    daemon.configure({"scheduling": {"orphan_grace": "0s"}})
    daemon.start()
    daemon.restart()  # epochs rise
    later = client.submit(spec(argv=forever()))
    client.wait_running(later)
    daemon.kill()
    for name in os.listdir(daemon.state_dir):
        if name.startswith("state.db"):
            os.remove(os.path.join(daemon.state_dir, name))
    for name in os.listdir(backup):
        shutil.copy(os.path.join(backup, name), daemon.state_dir)
    daemon.start()
    until(lambda: "epoch" in daemon.http("/readyz")[1], "readyz says that the store is old")
    assert daemon.http("/readyz")[0] == 503
    sandboxes = daemon.boxctl("sandboxes", "-o", "json")
    assert b"running" in sandboxes.stdout, sandboxes
    orphans = json.loads(daemon.boxctl("orphans", "-o", "json").stdout)
    assert [orphan["decision"] for orphan in orphans["orphans"]] == ["HELD_BACK"], orphans
    higher = orphans["higher_epoch"]
    wrong = daemon.boxctl("reap", "--accept-epoch", str(int(higher) + 1))
    assert wrong.returncode == 125 and higher.encode() in wrong.stderr, wrong
    planned = daemon.boxctl("reap", "--dry-run", "--accept-epoch", higher)
    assert b"DUE" in planned.stdout, planned
    assert b"running" in daemon.boxctl("sandboxes", "-o", "json").stdout
    reaped = daemon.boxctl("reap", "--accept-epoch", higher)
    assert reaped.returncode == 0 and b"DESTROYED" in reaped.stdout, reaped
    until(lambda: not json.loads(daemon.boxctl("sandboxes", "-o", "json").stdout)["sandboxes"], "no sandbox is left")
    until(lambda: daemon.http("/readyz")[0] == 200, "ready again")
