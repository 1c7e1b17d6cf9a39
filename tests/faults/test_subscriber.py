"""Event subscribers that are too slow hold back themselves only: nothing is buffered for them, others do not notice."""

import os
import threading

import grpc

from tests.harness import processes
from tests.harness.client import TERMINAL, spec
from tests.harness.daemon import Daemon
from tests.harness.stubs import executor_pb2, task_pb2
from tests.harness.waiting import SLOWNESS, until

OWNER = "test:slow"
TASKS = 3000 if os.environ.get("BOXKEEPER_FULL") else 600
_STALL_LIMIT_SECONDS = 60
_LABEL = "x" * 2000  # makes each event some KiB


def _watch(client, cursor="c0"):
    request = executor_pb2.WatchEventsRequest(owner=OWNER, cursor=cursor, follow=True)
    return client.executor.WatchEvents(request, wait_for_ready=True)


def _submit(client, count):
    ids = []
    for start in range(0, count, 100):
        items = [spec(argv=["true"], owner=OWNER, labels={f"l{n}": _LABEL[:60] for n in range(8)}) for _ in range(start, min(start + 100, count))]
        ids += [result.id for result in client.submit_all(items)]
    return ids


class SlowReader(threading.Thread):
    """Takes one message a second until it is cut or stopped; resumes where it was cut."""

    def __init__(self, client, seconds):
        super().__init__(daemon=True)
        self._client, self._seconds = client, seconds
        self._stopped = threading.Event()
        self.events, self.cuts, self._call = [], 0, None
        self.start()

    def run(self):
        while not self._stopped.is_set():
            self._call = _watch(self._client, self.events[-1].cursor if self.events else "c0")
            try:
                for batch in self._call:
                    self.events += batch.events
                    self._stopped.wait(self._seconds)
            except grpc.RpcError:
                self.cuts += 1

    def hurry(self):
        self._seconds = 0

    def stop(self):
        self._stopped.set()
        self._call.cancel()


def test_one_message_a_second_is_held_back_alone_and_misses_nothing():
    with Daemon({"scheduling": {"max_running": 16}}) as daemon:
        client = daemon.start().client
        client.run(spec(argv=["true"], owner=OWNER))
        before = processes.resident_bytes(daemon.process.pid)
        slow = SlowReader(daemon.connect(), 1)
        fast = SlowReader(daemon.connect(), 0)
        ids = _submit(client, TASKS)
        client.wait_all(ids, executor_pb2.WaitTaskRequest.LOG_COMPLETE, seconds=300)

        def ended(reader):
            return {e.task.id for e in list(reader.events) if e.type == task_pb2.EVENT_TYPE_STATE and e.task.state in TERMINAL} >= set(ids)

        until(lambda: ended(fast), "the fast one has every end", 60)
        assert not ended(slow), "it was not slow"
        grown = processes.resident_bytes(daemon.process.pid) - before
        assert grown < ((24 << 20) + TASKS * 6000) * SLOWNESS, grown
        slow.hurry()
        until(lambda: ended(slow), "the slow one gets every end in the end", 120)
        until(lambda: len(fast.events) == len(slow.events), "as many events")
        assert [e.cursor for e in slow.events] == [e.cursor for e in fast.events]
        slow.stop()
        fast.stop()


def test_one_that_takes_nothing_is_cut_and_resumes():
    """Cut after a minute in which it took nothing: that long only in the long form; daemon/service/streams_test.cc has a short limit."""
    with Daemon({"scheduling": {"max_running": 16}}) as daemon:
        client = daemon.start().client
        stalled = _watch(daemon.connect())
        ids = _submit(client, 1)
        first = next(iter(stalled))
        ids += _submit(client, TASKS)
        client.wait_all(ids, executor_pb2.WaitTaskRequest.LOG_COMPLETE, seconds=300)
        if os.environ.get("BOXKEEPER_FULL"):
            threading.Event().wait(_STALL_LIMIT_SECONDS + 15)
        seen = {}
        try:
            for event in first.events:
                seen[event.cursor] = event
            for batch in stalled:
                seen.update((event.cursor, event) for event in batch.events)
                if len({e.task.id for e in seen.values() if e.task.state in TERMINAL}) == len(ids):
                    break
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.CANCELLED, error
        last = list(seen)[-1]
        whole = [e.cursor for e in client.events(OWNER, "c0")]
        rest = [e.cursor for e in client.events(OWNER, last)]
        assert list(seen) + rest == whole
