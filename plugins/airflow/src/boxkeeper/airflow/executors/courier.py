"""The executor's side of the way to the daemon: one thread, one relay process, plain queues between it and the scheduler.

Nothing here blocks the scheduler loop but `adopt`, which waits a bounded time. What was handed over is kept until the daemon
has answered for it: a relay that died is started again, a daemon that is down is asked again, under the same submission ids.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import random
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

from boxkeeper.airflow.executors.link import RelayLink
from boxkeeper.airflow.executors.wire import Frame, Kind

if TYPE_CHECKING:
    from boxkeeper.v1 import executor_pb2, task_pb2

log = logging.getLogger(__name__)

_BATCH_ITEMS = 500     # the daemon takes 1 000
_BATCH_BYTES = 4 << 20  # the daemon takes 8 MiB
_ADOPT_ITEMS = 1000    # the daemon's limit
_NEWS_MAX = 20_000     # that wait for the scheduler; beyond it the relay is not read
_BACKOFF = (0.2, 5.0)  # seconds: first and longest wait after a failure
_HOPELESS = ("INVALID_ARGUMENT", "OUT_OF_RANGE")  # no repeat mends these


@dataclasses.dataclass(frozen=True)
class Submission:
    """One task to hand over. `spec` has the same submission_id; its repr would show secrets."""

    submission_id: str
    spec: task_pb2.TaskSpec = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Answered:
    """What the daemon said to one submission."""

    submission_id: str
    result: executor_pb2.SubmitResult


@dataclasses.dataclass(frozen=True)
class Happened:
    """One event of our stream."""

    event: task_pb2.Event


@dataclasses.dataclass(frozen=True)
class AdoptedLate:
    """The answer to an `adopt` that nobody waited for any more: one result per key, same order."""

    keys: Sequence[task_pb2.TaskKey]
    results: Sequence[executor_pb2.AdoptResult]


News = Union[Answered, Happened, AdoptedLate]


class _Adoption:
    """A question whose asker waits for a while."""

    def __init__(self, keys: Sequence[task_pb2.TaskKey]) -> None:
        self.keys = list(keys)
        self.results: Optional[Sequence[executor_pb2.AdoptResult]] = None
        self._settled = threading.Condition()
        self._late = False

    def wait(self, timeout: float) -> Optional[Sequence[executor_pb2.AdoptResult]]:
        """The answer; None if it did not come in time: then settle() returns True."""
        with self._settled:
            self._settled.wait_for(lambda: self.results is not None, timeout)
            self._late = self.results is None
            return self.results

    def settle(self, results: Sequence[executor_pb2.AdoptResult]) -> bool:
        """Gives the answer; True if nobody waits for it any more."""
        with self._settled:
            self.results = results
            self._settled.notify_all()
            return self._late


class Courier:
    """Hands tasks to the daemon and brings its events. Public methods are for the scheduler's thread."""

    def __init__(self, settings: Mapping[str, Any], owner: str, *, call_timeout: float = 10.0,
                 capacity_interval: float = 2.0, spawn: Optional[Callable[[], Any]] = None) -> None:
        """`settings`: arguments of boxkeeper.client.ConnectionSettings; `call_timeout`, `capacity_interval`: seconds;
        `spawn`: starts a relay."""
        self.owner = owner
        # Read by others, each replaced whole.
        self.capacity: Optional[executor_pb2.GetCapacityResponse] = None
        self.reachable: Optional[bool] = None  # None: not known yet
        self.trouble = ""
        self._address = settings.get("address")
        self._call_timeout, self._capacity_interval = call_timeout, capacity_interval
        self._inbox: deque[Callable[[], None]] = deque()
        self._news: deque[News] = deque()
        self._wake_out, self._wake_in = socket.socketpair()
        for end in (self._wake_out, self._wake_in):
            end.setblocking(False)
        self._stopping = False
        self._stop_by = 0.0
        self._thread = threading.Thread(target=self._run, name="boxkeeper-courier", daemon=True)
        # What follows belongs to the thread.
        self._link = RelayLink({"settings": dict(settings), "owner": owner}, self._on_frame, spawn)
        self._pending: dict[str, Submission] = {}    # not answered, in order
        self._under_way: dict[str, Submission] = {}  # of them: in the call that is under way
        self._doomed: dict[str, executor_pb2.CancelTasksRequest] = {}  # under way, and cancelled meanwhile
        self._cancels: deque[executor_pb2.CancelTasksRequest] = deque()
        self._adoptions: deque[_Adoption] = deque()
        self._retired: deque[str] = deque()
        self._ack = ""
        self._not_before: dict[Kind, float] = {}
        self._failures: dict[Kind, int] = {}
        self._one_by_one = False

    def start(self) -> None:
        """Starts the thread, which starts the relay."""
        _let_go_in_forks(self)
        self._thread.start()

    def stop(self, timeout: float = 3.0) -> None:
        """Ends thread and relay within about `timeout` seconds, after a last acknowledgement if the daemon answers; tasks run
        on. What was not handed over is dropped: whoever adopts is told that nobody knows it."""
        self._stop_by = time.monotonic() + timeout / 2
        self._stopping = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def submit(self, submissions: Sequence[Submission]) -> None:
        """Takes them over; each is answered by one `Answered`, unless it is cancelled before."""
        self._tell(lambda: self._pending.update((item.submission_id, item) for item in submissions))

    def cancel(self, *, submission_id: str, task_id: str, key: task_pb2.TaskKey, reason: str) -> None:
        """Cancels without an event. One that was never sent is forgotten; without `task_id` the key says which: so what
        comes after it under that key must be handed over later than this."""
        self._tell(lambda: self._do_cancel(submission_id, task_id, key, reason))

    def adopt(self, keys: Sequence[task_pb2.TaskKey], timeout: float) -> Optional[Sequence[executor_pb2.AdoptResult]]:
        """Moves the tasks of `keys` to our owner: one result per key, same order. None if the daemon has not answered for
        all of them within `timeout` seconds: it is asked on, and what it says comes as `AdoptedLate`."""
        deadline = time.monotonic() + timeout
        parts = [_Adoption(keys[at:at + _ADOPT_ITEMS]) for at in range(0, len(keys), _ADOPT_ITEMS)]
        self._tell(lambda: self._adoptions.extend(parts))
        answers = [part.wait(max(0.0, deadline - time.monotonic())) for part in parts]
        if any(answer is None for answer in answers):
            for part in parts:
                if part.results is not None:
                    self._news.append(AdoptedLate(part.keys, part.results))
            return None
        return [result for answer in answers for result in answer or ()]

    def ack(self, cursor: str) -> None:
        """Acknowledges this event and all before it."""
        self._tell(lambda: setattr(self, "_ack", cursor))

    def retire(self, owner: str) -> None:
        """Acknowledges all events of an owner that is no more."""
        self._tell(lambda: self._retired.append(owner))

    def news(self, limit: int) -> list[News]:
        """What came since the last call, at most `limit`, in order."""
        was_full = len(self._news) >= _NEWS_MAX
        items: list[News] = []
        while self._news and len(items) < limit:
            items.append(self._news.popleft())
        if was_full:
            self._wake()  # there is room to read into
        return items

    def describe(self) -> str:
        """One line for a debug dump."""
        return (f"owner={self.owner} reachable={self.reachable} trouble={self.trouble!r} pending={len(self._pending)} "
                f"under_way={len(self._under_way)} cancels={len(self._cancels)} adoptions={len(self._adoptions)} "
                f"news={len(self._news)} relay={self._link.pid} capacity={_one_line(self.capacity)}")

    def _tell(self, what: Callable[[], None]) -> None:
        self._inbox.append(what)
        self._wake()

    def _wake(self) -> None:
        try:
            self._wake_in.send(b"x")
        except OSError:
            pass  # awake already, or gone

    # From here on: the thread.

    def _run(self) -> None:
        while not self._stopping or (self._inbox or self._ack) and self.reachable and time.monotonic() < self._stop_by:
            try:
                self._turn()
            except Exception:
                log.exception("boxkeeper courier: going on with a new relay")
                self._link.lose("an error of ours")
        self._link.lose("stopped")

    def _turn(self) -> None:
        while self._inbox:
            self._inbox.popleft()()
        self._link.open()
        now = time.monotonic()
        if self._link.up:
            self._ask(now)
        dues = self._link.due() + [due for kind, due in self._not_before.items() if due > now and not self._link.busy(kind)]
        if self._stopping:
            dues.append(self._stop_by)
        self._link.poll(self._wake_out, max(0.0, min(dues, default=now + 60) - now), read=len(self._news) < _NEWS_MAX)

    def _ask(self, now: float) -> None:
        """Starts what may start: one call of each kind at a time. Cancels go before submits, see cancel()."""
        from boxkeeper.v1 import executor_pb2 as pb

        if self._ack and self._may(Kind.ACK, now):
            cursor = self._ack
            self._call(Kind.ACK, pb.AckEventsRequest(owner=self.owner, cursor=cursor), lambda _: self._acked(cursor),
                       lambda _: self._acked(cursor))
        if self._stopping:
            return
        if self._cancels and self._may(Kind.CANCEL, now):
            self._call(Kind.CANCEL, self._cancels[0], self._cancelled, self._cancelled)
        if self._adoptions and self._may(Kind.ADOPT, now):
            keys = self._adoptions[0].keys
            self._call(Kind.ADOPT, pb.AdoptTasksRequest(new_owner=self.owner, tasks=[pb.TaskRef(key=key) for key in keys]),
                       self._adopted)
        if self._pending and not self._cancels and self._may(Kind.SUBMIT, now):
            self._under_way = self._next_batch()
            self._call(Kind.SUBMIT, pb.SubmitTasksRequest(tasks=[item.spec for item in self._under_way.values()]),
                       self._submitted, self._refused)
        if self._retired and self._may(Kind.RETIRE, now):
            self._call(Kind.RETIRE, pb.AckEventsRequest(owner=self._retired.popleft()), _nothing, _nothing)
        if self._may(Kind.CAPACITY, now):
            self._call(Kind.CAPACITY, pb.GetCapacityRequest(), self._measured)

    def _may(self, kind: Kind, now: float) -> bool:
        return not self._link.busy(kind) and now >= self._not_before.get(kind, 0.0)

    def _call(self, kind: Kind, request: Any, done: Callable[[bytes], None],
              hopeless: Optional[Callable[[Mapping[str, Any]], None]] = None) -> None:
        """`done` gets the answer, `hopeless` a failure that no repeat mends; after any other _ask puts the question again."""

        def then(body: Optional[bytes], error: Mapping[str, Any]) -> None:
            if body is not None:
                self._failures[kind] = 0
                self._note(True, "")
                done(body)
            elif hopeless is not None and error.get("code") in _HOPELESS:
                log.error("boxkeeper: %s", error.get("message"))
                hopeless(error)
            else:
                self._note(False, str(error.get("message", "")))
                self._not_before[kind] = time.monotonic() + self._wait_after(kind, error.get("retry_after"))
                if kind == Kind.SUBMIT:
                    self._unsure()

        self._link.call(kind, request.SerializeToString(), self._call_timeout, then)

    def _wait_after(self, kind: Kind, at_least: Optional[float]) -> float:
        failures = self._failures.get(kind, 0)
        self._failures[kind] = failures + 1
        wait = min(_BACKOFF[0] * 2.0 ** min(failures, 10), _BACKOFF[1]) * random.uniform(0.5, 1.0)
        return max(wait, min(at_least or 0.0, 60.0))

    def _note(self, reachable: bool, trouble: str) -> None:
        if reachable != self.reachable:
            if reachable:
                log.info("boxkeeper: the daemon at %s answers", self._address)
            else:
                log.warning("boxkeeper: the daemon at %s does not answer; tasks wait: %s", self._address, trouble)
        self.reachable, self.trouble = reachable, trouble

    def _next_batch(self) -> dict[str, Submission]:
        """The oldest that fit one request."""
        batch: dict[str, Submission] = {}
        size, most = 0, 1 if self._one_by_one else _BATCH_ITEMS
        for submission_id, item in self._pending.items():
            size += item.spec.ByteSize()
            if batch and (len(batch) >= most or size > _BATCH_BYTES):
                break
            batch[submission_id] = item
        return batch

    def _submitted(self, body: bytes) -> None:
        from boxkeeper.v1 import executor_pb2 as pb

        batch, self._under_way = self._under_way, {}
        self._one_by_one = False
        for submission_id, result in zip(batch, pb.SubmitTasksResponse.FromString(body).results):
            cancel = self._doomed.pop(submission_id, None)
            if cancel is None:
                self._news.append(Answered(submission_id, result))
            elif result.outcome in (pb.SubmitResult.ACCEPTED, pb.SubmitResult.DUPLICATE):
                cancel.tasks[0].id = result.id
                self._cancels.append(cancel)
            self._pending.pop(submission_id, None)

    def _refused(self, error: Mapping[str, Any]) -> None:
        """The request as a whole is wrong: its items go one by one, so that only the bad one is rejected."""
        from boxkeeper.v1 import executor_pb2 as pb

        batch, self._under_way = self._under_way, {}
        self._one_by_one = True
        for submission_id in batch:
            if self._doomed.pop(submission_id, None) is not None:
                self._pending.pop(submission_id, None)
            elif len(batch) == 1:
                self._pending.pop(submission_id, None)
                self._news.append(Answered(submission_id, pb.SubmitResult(
                    outcome=pb.SubmitResult.REJECTED, message=str(error.get("message", "")))))

    def _unsure(self) -> None:
        """A submit failed: what it held may have been accepted. It is submitted again; what was cancelled, by its key."""
        self._under_way = {}
        for submission_id, cancel in self._doomed.items():
            self._pending.pop(submission_id, None)
            self._cancels.append(cancel)
        self._doomed = {}

    def _do_cancel(self, submission_id: str, task_id: str, key: task_pb2.TaskKey, reason: str) -> None:
        from boxkeeper.v1 import executor_pb2 as pb

        ref = pb.TaskRef(id=task_id) if task_id else pb.TaskRef(key=key)
        request = pb.CancelTasksRequest(tasks=[ref], reason=reason, suppress_events=True)
        if submission_id in self._under_way:
            self._doomed[submission_id] = request
        elif self._pending.pop(submission_id, None) is None:
            self._cancels.append(request)
        elif self._failures.get(Kind.SUBMIT):
            self._cancels.append(request)  # an earlier, failed call may have held it

    def _cancelled(self, _: Any) -> None:
        self._cancels.popleft()

    def _adopted(self, body: bytes) -> None:
        from boxkeeper.v1 import executor_pb2 as pb

        adoption = self._adoptions.popleft()
        results = list(pb.AdoptTasksResponse.FromString(body).results)
        if adoption.settle(results):
            self._news.append(AdoptedLate(adoption.keys, results))

    def _acked(self, cursor: str) -> None:
        if self._ack == cursor:
            self._ack = ""

    def _measured(self, body: bytes) -> None:
        from boxkeeper.v1 import executor_pb2 as pb

        self.capacity = pb.GetCapacityResponse.FromString(body)
        self._not_before[Kind.CAPACITY] = time.monotonic() + self._capacity_interval

    def _on_frame(self, frame: Frame) -> None:
        from boxkeeper.v1 import task_pb2

        if frame.kind == Kind.EVENT:
            self._news.append(Happened(task_pb2.Event.FromString(frame.body)))
        elif frame.kind == Kind.STREAM:
            said = json.loads(frame.body)
            if not said["up"]:
                log.debug("boxkeeper: the event stream broke: %s", said["message"])

    def _close_in_fork(self) -> None:
        self._link.close_in_fork()
        self._wake_out.close()
        self._wake_in.close()


def _nothing(_: Any) -> None:
    """An answer that changes nothing."""


def _one_line(message: Any) -> str:
    return "unknown" if message is None else " ".join(str(message).split())


def _let_go_in_forks(courier: Courier) -> None:
    """A forked child must neither hold the pipes open nor use them."""
    weak = weakref.ref(courier)

    def in_child() -> None:
        alive = weak()
        if alive is not None:
            alive._close_in_fork()

    os.register_at_fork(after_in_child=in_child)
