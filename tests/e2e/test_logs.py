"""Logs: following live, over restarts, limits, layouts, and memory that does not grow with the output."""

import glob
import hashlib
import json
import os
import re
import threading

import grpc
import pytest

from tests.harness import processes
from tests.harness.client import TERMINAL, end, spec
from tests.harness.daemon import Daemon
from tests.harness.gate import Gate
from tests.harness.stubs import admin_pb2, executor_pb2, task_pb2
from tests.harness.waiting import SLOWNESS, until

LOG_COMPLETE = executor_pb2.WaitTaskRequest.LOG_COMPLETE


class Follower:
    """Reads one stream with `follow`, coming back at its offset after each break."""

    def __init__(self, client, task_id):
        self.data, self.ended, self.breaks = b"", threading.Event(), 0
        self._client, self._task_id = client, task_id
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while not self.ended.is_set():
            try:
                for piece in self._client.log_pieces(self._task_id, follow=True, offset=len(self.data)):
                    assert piece.offset == len(self.data) or not piece.data, (piece.offset, len(self.data))
                    self.data += piece.data
                    if piece.end:
                        self.ended.set()
            except grpc.RpcError:
                self.breaks += 1
                self.ended.wait(0.05)


def _steps(gate, count):
    """Shell text: prints `count` numbered lines, each when the gate opens."""
    return f"n=0; while [ $n -lt {count} ]; do {gate.wait}; echo line $n; n=$((n+1)); done"


def test_following_shows_lines_while_the_task_runs_across_kill_9(daemon):
    client, gate = daemon.client, Gate(daemon.folder)
    task_id = client.submit(spec(shell=_steps(gate, 6)))
    follower = Follower(client, task_id)
    expected = b""
    for number in range(6):
        if number == 2:
            daemon.restart()
        if number == 4:
            daemon.kill()
        gate.open()
        if number == 4:
            daemon.start()
        expected += f"line {number}\n".encode()
        until(lambda: follower.data == expected, f"line {number} live")
    assert follower.ended.wait(30 * SLOWNESS) and follower.data == expected
    assert follower.breaks >= 1
    task = client.wait(task_id, LOG_COMPLETE)
    assert daemon.stored_log(task) == expected


def test_reading_from_an_offset_and_the_last_lines(shared):
    task = shared.client.run(spec(shell="for n in 1 2 3 4 5; do echo line $n; done; echo tail >&2"))
    whole = b"".join(b"line %d\n" % n for n in range(1, 6))
    assert shared.client.log(task.id) == whole
    assert shared.client.log(task.id, offset=7) == whole[7:]
    assert shared.client.log(task.id, offset=len(whole)) == b""
    assert shared.client.log(task.id, tail_lines=2) == b"line 4\nline 5\n"
    assert shared.client.log(task.id, "STDERR") == b"tail\n"
    last = list(shared.client.log_pieces(task.id))[-1]
    assert last.end


def test_a_limit_leaves_a_visible_marker():
    limit = 64 * 1024
    with Daemon({"logs": {"max_bytes_per_task": f"{limit // 1024}KiB"}}) as daemon:
        client = daemon.start().client
        size = 1_000_000
        task_id = client.submit(spec(shell=f"head -c {size} /dev/zero | tr '\\0' 'x'; printf END"))
        task = client.wait(task_id, LOG_COMPLETE)
        pieces = list(client.log_pieces(task_id))
        dropped = sum(p.dropped_bytes for p in pieces)
        kept = b"".join(p.data for p in pieces)
        assert len(kept) + dropped == size + 3 and dropped == task.log.dropped_bytes > 0
        assert kept.endswith(b"END") and len(kept) <= limit
        # What was stored before the limit was reached stays stored, so less may be missing there than in the spool.
        stored = daemon.stored_log(task)
        head, missing, tail = re.fullmatch(rb"(x+)\n\[boxkeeper: dropped (\d+) bytes\]\n(x*END)", stored).groups()
        assert len(head) + int(missing) + len(tail) == size + 3 and 0 < int(missing) <= dropped
        shown = daemon.boxctl("logs", task_id).stdout
        assert f"[boxkeeper: dropped {dropped} bytes]".encode() in shown


def test_memory_stays_flat_under_512_mib_of_output():
    with Daemon({"logs": {"max_bytes_per_task": "2GiB"}}) as daemon:
        client = daemon.start().client
        client.run(spec(argv=["true"]))
        before = processes.resident_bytes(daemon.process.pid)
        size, peak = 512 << 20, 0
        task_id = client.submit(spec(shell=f"head -c {size} /dev/zero"))
        digest = hashlib.sha256()
        for piece in client.log_pieces(task_id, follow=True, seconds=240):
            digest.update(piece.data)
            peak = max(peak, processes.resident_bytes(daemon.process.pid))
        zeros = hashlib.sha256()
        for _ in range(512):
            zeros.update(bytes(1 << 20))
        assert digest.hexdigest() == zeros.hexdigest()
        task = client.wait(task_id, LOG_COMPLETE, seconds=240)
        peak = max(peak, processes.resident_bytes(daemon.process.pid))
        assert task.log.stdout_bytes == size
        assert os.path.getsize(os.path.join(daemon.folder, "logs", task.log.path, "stdout")) == size
        assert peak - before < (96 << 20) * SLOWNESS, (before >> 20, peak >> 20)


def _airflow_records(daemon, task):
    """The records of all pieces in the order in which a reader takes them: sorted by name."""
    pieces = sorted(glob.glob(glob.escape(os.path.join(daemon.folder, "logs", task.log.path)) + ".*"))
    records = []
    for piece in pieces:
        with open(piece, "rb") as file:
            content = file.read()
        assert content.endswith(b"\n"), piece  # cut on line boundaries
        records += [json.loads(line) for line in content.splitlines()]
    return pieces, records


def test_the_airflow_layout_is_records_in_pieces_across_kill_9(daemon):
    client, gate = daemon.client, Gate(daemon.folder)
    # A path with '=' as Airflow's own.
    item = spec(shell=_steps(gate, 4) + '; echo oops >&2; echo \'{"timestamp": "2026-01-02T03:04:05Z", "event": "own"}\'',
                override={"log": {"layout": "airflow", "path": "dag_id=d/run_id=r/task_id=t/attempt=1.log"}})
    task_id = client.submit(item)
    for number in range(4):
        gate.open()
        until(lambda: f"line {number}" in [r["event"] for r in _airflow_records(daemon, client.get(task_id))[1]], "stored live")
        if number == 1:
            daemon.restart()
    task = client.wait(task_id, LOG_COMPLETE)
    pieces, records = _airflow_records(daemon, task)
    assert [r["event"] for r in records if r["event"].startswith("line")] == [f"line {n}" for n in range(4)]
    assert [r["event"] for r in records].count("oops") == 1 and [r["event"] for r in records].count("own") == 1
    assert all("timestamp" in r for r in records)
    assert len(pieces) >= 2
    generation = f"{task.generation:016d}"
    for number, piece in enumerate(pieces):
        assert os.path.basename(piece).startswith(f"attempt=1.log.{generation}."), piece
        assert piece.endswith(f".{number:08d}") or number > 0
    assert client.log(task_id).startswith(b"line 0\nline 1\n")


def test_a_log_store_that_is_away_delays_only_the_copy(daemon):
    client = daemon.client
    logs = os.path.join(daemon.folder, "logs")
    client.wait(client.submit(spec(argv=["true"])), LOG_COMPLETE)
    os.rename(logs, logs + ".away")
    with open(logs, "w", encoding="utf-8"):  # a file where the folder should be
        pass
    task = client.run(spec(shell="echo kept; exit 3"))
    assert end(task)[2] == 3 and not task.log.complete
    assert client.log(task.id) == b"kept\n"
    os.remove(logs)
    os.rename(logs + ".away", logs)
    task = client.wait(task.id, LOG_COMPLETE, seconds=60)
    assert daemon.stored_log(task) == b"kept\n"


def _exit_record(daemon, task_id):
    with open(f"{daemon.folder}/logs/_boxkeeper/{task_id}/exit.json", encoding="utf-8") as file:
        return json.load(file)


def test_a_task_that_never_started_has_its_exit_record_also_when_the_store_was_away(daemon):
    client = daemon.client
    logs = os.path.join(daemon.folder, "logs")
    client.call(client.admin.Drain, admin_pb2.DrainRequest())
    near, away, restarted = [client.submit(spec(argv=["true"], owner="o")) for _ in range(3)]
    assert client.cancel(near) == ["CANCELLED"]
    assert client.wait(near, LOG_COMPLETE).log.complete
    os.rename(logs, logs + ".away")
    with open(logs, "w", encoding="utf-8"):  # a file where the folder should be
        pass
    assert client.cancel(away, restarted) == ["CANCELLED", "CANCELLED"]
    assert not client.get(away).log.complete
    daemon.restart()
    os.remove(logs)
    os.rename(logs + ".away", logs)
    for task_id in near, away, restarted:
        task = client.wait(task_id, LOG_COMPLETE, seconds=60)
        record = _exit_record(daemon, task_id)
        assert (record["state"], record["reason"]) == ("TASK_STATE_CANCELLED", "REASON_CANCELLED")
        assert record["user_code_started"] == "USER_CODE_STARTED_NO" and "exit_code" not in record
        assert record["stored"]["path"] == task.log.path and record["stored"]["stdout"]["raw_bytes"] == 0
    kinds = {i: [e.type for e in client.events("o") if e.task.id == i and e.task.state in TERMINAL] for i in (near, away, restarted)}
    assert set(map(tuple, kinds.values())) == {(task_pb2.EVENT_TYPE_STATE, task_pb2.EVENT_TYPE_LOG_COMPLETE)}


@pytest.mark.parametrize("overflow", ["block", "drop_middle"])
def test_a_full_spool_holds_output_until_stored_logs_have_made_room(overflow):
    with Daemon({"spool": {"max_bytes": "2MiB"}, "logs": {"overflow": overflow}}) as daemon:
        with open(f"{daemon.folder}/logs", "wb"):  # a file where the folder should be: nothing can be stored
            pass
        client, size = daemon.start().client, 3 << 20
        first = client.run(spec(shell=f"head -c {size} /dev/zero | tr '\\0' a"))
        until(lambda: b"is full (" in daemon.boxctl("status").stdout, "the spool is full")
        second = client.submit(spec(shell=f"head -c {size} /dev/zero | tr '\\0' b"))
        if overflow == "block":
            client.wait_running(second)
            assert client.log(second) == b""
            assert end(first)[0] == "SUCCEEDED" and not client.get(first.id).log.complete
            assert daemon.metric("boxkeeper_spool_full") == 1
        else:
            ended = client.wait(second)
            assert ended.log.dropped_bytes >= size // 2
        os.remove(f"{daemon.folder}/logs")
        for task_id, letter in ((first.id, b"a"), (second, b"b")):
            task = client.wait(task_id, LOG_COMPLETE, seconds=90)
            kept = client.log(task_id)
            assert len(kept) + task.log.dropped_bytes == size and set(kept) == set(letter)
        assert client.get(first.id).log.dropped_bytes == 0
        until(lambda: not os.path.exists(os.path.join(daemon.state_dir, "spool", first.id)), "the stored spool went first")
        assert client.log(first.id) == b"a" * size
        assert client.log(first.id, offset=size - 10) == b"a" * 10
        until(lambda: b"is full (" not in daemon.boxctl("status").stdout, "there is room again")


def test_without_a_log_url_it_says_where_logs_stay():
    with Daemon({"logs": {"url": None}}) as daemon:
        daemon.start()
        told = f"logs stay on this machine, in {daemon.state_dir}/logs"
        assert told in daemon.boxctl("status").stdout.decode()
        assert told in daemon.log_text()


def test_a_log_store_that_cannot_be_written_is_told_at_the_start_and_tasks_run():
    with Daemon() as daemon:
        with open(f"{daemon.folder}/logs", "wb"):  # a file where the folder should be
            pass
        client = daemon.start().client
        until(lambda: b"the log store cannot be used" in daemon.boxctl("status").stdout, "the warning")
        assert "the log store cannot be used" in daemon.log_text()
        assert end(client.run(spec(shell="echo kept")))[0] == "SUCCEEDED"
        check = daemon.launch(["--check_config", "--connect"])
        assert check.wait(60 * SLOWNESS) != 0
        assert "logs.url: " in daemon.log_text()
