"""`overflow: block`: output of any length flows through a small spool, as fast as the log store takes it, and none is lost."""

import hashlib
import os
import threading

import pytest

from tests.harness.client import end, spec
from tests.harness.daemon import Daemon
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import until

LOG_COMPLETE = executor_pb2.WaitTaskRequest.LOG_COMPLETE
LIMIT = 16 << 20
# Lines that differ, at some 100 MB/s.
SEQ = "seq -f %0{width}.0f 1 {count}"


def _seq(count, width=1):
    """Digest and size of what SEQ prints."""
    digest, size = hashlib.sha256(), 0
    for begin in range(1, count + 1, 100_000):
        part = "".join(f"{n:0{width}d}\n" for n in range(begin, min(begin + 100_000, count + 1))).encode()
        digest.update(part)
        size += len(part)
    return digest.hexdigest(), size


def _allocated(folder):
    return sum(os.stat(os.path.join(folder, name)).st_blocks * 512 for name in os.listdir(folder) if name in ("stdout", "stderr"))


class Peak(threading.Thread):
    """Watches how much disk space a task's streams take."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.bytes, self._folder, self._ended = 0, folder, threading.Event()
        self.start()

    def run(self):
        while not self._ended.wait(0.02):
            try:
                self.bytes = max(self.bytes, _allocated(self._folder))
            except OSError:
                pass

    def end(self):
        self._ended.set()
        self.join()
        return self.bytes


def _digest(client, task_id, **fields):
    digest, size = hashlib.sha256(), 0
    for piece in client.log_pieces(task_id, seconds=240, **fields):
        assert piece.dropped_bytes == 0
        digest.update(piece.data)
        size += len(piece.data)
    return digest.hexdigest(), size


@pytest.mark.parametrize("layout", ["plain", "metaflow", "airflow"])
def test_output_flows_through_16_mib_across_kill_9(layout):
    # Of `airflow` long lines, for each becomes a record; of `metaflow` less, for the object is copied.
    count, width = {"plain": (1_500_000, 200), "metaflow": (500_000, 100), "airflow": (150_000, 200)}[layout]
    expected = _seq(count, width)
    with Daemon({"logs": {"overflow": "block", "max_bytes_per_task": "16MiB", "layout": layout}}) as daemon:
        client = daemon.start().client
        task_id = client.submit(spec(shell=SEQ.format(width=width, count=count)))
        folder = os.path.join(daemon.state_dir, "spool", task_id)
        peak = Peak(folder)
        until(lambda: os.path.exists(folder + "/stdout.freed"), "something is freed")
        daemon.restart()
        client = daemon.client
        # From the begin, which is in the store only, into what is still in the spool.
        size, head = 0, b""
        for piece in client.log_pieces(task_id, seconds=120):
            assert piece.offset == size and piece.dropped_bytes == 0
            head = head or piece.data
            size += len(piece.data)
        assert head.startswith(b"%0*d\n%0*d\n" % (width, 1, width, 2))
        ended = client.wait(task_id, seconds=240)
        assert end(ended)[0] == "SUCCEEDED"
        task = client.wait(task_id, LOG_COMPLETE, seconds=240)
        assert (task.log.stdout_bytes, task.log.dropped_bytes) == (expected[1], 0)
        assert peak.end() <= LIMIT + (4 << 20)
        if layout != "airflow":
            digest = hashlib.sha256()
            with open(os.path.join(daemon.folder, "logs", task.log.path, "stdout"), "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
            assert digest.hexdigest() == expected[0]
        assert _digest(client, task_id) == expected
        assert client.log(task_id, tail_lines=3).split() == [b"%0*d" % (width, n) for n in range(count - 2, count + 1)]
        shown = hashlib.sha256(daemon.boxctl("logs", task_id).stdout).hexdigest()
        assert shown == expected[0]


def test_a_store_that_is_away_holds_the_command_and_its_return_lets_it_go_on():
    with Daemon({"logs": {"overflow": "block", "max_bytes_per_task": "1MiB"}}) as daemon:
        client = daemon.start().client
        client.wait(client.submit(spec(argv=["true"])), LOG_COMPLETE)
        logs = os.path.join(daemon.folder, "logs")
        os.rename(logs, logs + ".away")
        with open(logs, "wb"):  # a file where the folder should be
            pass
        task_id = client.submit(spec(shell=SEQ.format(width=1, count=1_000_000)))
        folder = os.path.join(daemon.state_dir, "spool", task_id)
        until(lambda: os.path.exists(folder + "/waiting"), "it waits for room")
        until(lambda: daemon.metric("boxkeeper_log_held_tasks") == 1, "the metric")
        until(lambda: b"output of 1 running tasks is not read" in daemon.boxctl("status").stdout, "the status")
        assert not os.path.exists(folder + "/stdout.freed")
        assert client.get(task_id).log.dropped_bytes == 0
        os.remove(logs)
        os.rename(logs + ".away", logs)
        task = client.wait(task_id, LOG_COMPLETE, seconds=120)
        assert _digest(client, task_id) == _seq(1_000_000)
        assert task.log.dropped_bytes == 0 and not os.path.exists(folder + "/waiting")


def test_running_tasks_do_not_wait_for_each_other_with_a_full_spool():
    with Daemon({"spool": {"max_bytes": "4MiB"}, "logs": {"overflow": "block"}}) as daemon:
        client = daemon.start().client
        tasks = [client.submit(spec(shell=SEQ.format(width=1, count=1_500_000))) for _ in range(3)]
        expected = _seq(1_500_000)
        for task_id in tasks:
            task = client.wait(task_id, LOG_COMPLETE, seconds=120)
            assert task.log.dropped_bytes == 0 and _digest(client, task_id) == expected
