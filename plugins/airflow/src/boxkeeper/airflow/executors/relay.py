"""The process that speaks gRPC for the scheduler, started by the courier (link.py).

The scheduler itself never imports gRPC: LocalExecutor beside us forks it, and a child of a process with gRPC's threads hangs
in its first call (docs/adr/0017). Frames (wire.py) come on standard input and go on standard output. It keeps no state:
whatever it had asked for and not answered is asked again, under the same submission id, of its successor.
It leaves when its input ends or its parent is gone.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NoReturn

from boxkeeper.airflow.executors.wire import Frame, FrameBuffer, Kind

if TYPE_CHECKING:
    from boxkeeper.client import Client

_CALLS_AT_ONCE = 8
_PARENT_CHECK = 1.0  # seconds
_STREAM_BACKOFF_MAX = 5.0  # seconds


class Relay:
    """Answers frames with one Client. Calls run in a pool; events come by a thread of their own."""

    def __init__(self, client: Client, owner: str, send: Callable[[Frame], None]) -> None:
        self._client = client
        self._owner = owner
        self._send = send
        self._pool = ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="call")

    def start(self) -> None:
        """Begins the event stream."""
        threading.Thread(target=self._watch, name="events", daemon=True).start()

    def take(self, frame: Frame) -> None:
        """Starts the call that the frame asks for; its answer is sent when it is there."""
        self._pool.submit(self._answer, frame)

    def _answer(self, frame: Frame) -> None:
        try:
            reply = Frame(Kind.REPLY, self._call(frame), frame.call)
        except Exception as error:  # every failure is the courier's to judge
            reply = Frame(Kind.ERROR, json.dumps(describe(error)).encode(), frame.call)
        self._send(reply)

    def _call(self, frame: Frame) -> bytes:
        from boxkeeper.v1 import executor_pb2 as pb

        client, body, timeout = self._client, frame.body, frame.timeout_ms / 1000
        if frame.kind == Kind.SUBMIT:
            submits = pb.SubmitTasksRequest.FromString(body)
            return _bytes(pb.SubmitTasksResponse(results=client.submit_tasks(list(submits.tasks), timeout=timeout)))
        if frame.kind == Kind.CANCEL:
            cancels = pb.CancelTasksRequest.FromString(body)
            return _bytes(pb.CancelTasksResponse(results=client.cancel_tasks(
                ids=[ref.id for ref in cancels.tasks if ref.id], keys=[ref.key for ref in cancels.tasks if not ref.id],
                reason=cancels.reason, suppress_events=cancels.suppress_events, timeout=timeout)))
        if frame.kind == Kind.ADOPT:
            adopts = pb.AdoptTasksRequest.FromString(body)
            return _bytes(pb.AdoptTasksResponse(results=client.adopt_tasks(
                adopts.new_owner, keys=[ref.key for ref in adopts.tasks], timeout=timeout)))
        if frame.kind == Kind.ACK:
            ack = pb.AckEventsRequest.FromString(body)
            client.ack_events(ack.owner, ack.cursor, timeout=timeout)
            return b""
        if frame.kind == Kind.RETIRE:
            return self._retire(pb.AckEventsRequest.FromString(body).owner, timeout)
        if frame.kind == Kind.CAPACITY:
            return _bytes(client.get_capacity(timeout=timeout))
        raise ValueError(f"no call of kind {frame.kind!r}")

    def _retire(self, owner: str, timeout: float) -> bytes:
        """Acknowledges whatever an owner that is no more has left."""
        cursor = ""
        for event in self._client.watch_events(owner, follow=False):
            cursor = event.cursor
        if cursor:
            self._client.ack_events(owner, cursor, timeout=timeout)
        return b""

    def _watch(self) -> None:
        from boxkeeper.client import CursorGone, InvalidRequest

        cursor, wait = "", 0.1
        while True:
            try:
                self._send(Frame(Kind.STREAM, json.dumps({"up": True, "message": ""}).encode()))
                for event in self._client.watch_events(self._owner, cursor=cursor, follow=True):
                    self._send(Frame(Kind.EVENT, _bytes(event)))
                    cursor, wait = event.cursor, 0.1
            except (CursorGone, InvalidRequest):  # compacted unread; or a store that never gave this cursor
                cursor = self._list_anew(cursor)
            except Exception as error:  # the stream is begun again, whatever ended it
                self._send(Frame(Kind.STREAM, json.dumps({"up": False, "message": str(error)}).encode()))
            time.sleep(wait)
            wait = min(wait * 2, _STREAM_BACKOFF_MAX)

    def _list_anew(self, cursor: str) -> str:
        """The owner's tasks as they are now stand in for events that cannot be had. The cursor to go on from."""
        from boxkeeper.v1 import executor_pb2, task_pb2

        try:
            tasks, cursor = self._client.snapshot(executor_pb2.TaskFilter(owner=self._owner))
        except Exception as error:  # then the same again
            self._send(Frame(Kind.STREAM, json.dumps({"up": False, "message": str(error)}).encode()))
            return cursor
        for task in tasks:
            self._send(Frame(Kind.EVENT, _bytes(task_pb2.Event(type=task_pb2.EVENT_TYPE_STATE, task=task))))
        return cursor


def describe(error: Exception) -> dict[str, Any]:
    """What the courier needs to know of a failure."""
    return {
        "code": getattr(error, "code", "INTERNAL"),
        "reason": getattr(error, "reason", ""),
        "message": f"{type(error).__name__}: {error}",
        "retry_after": getattr(error, "retry_after", None),
        "violations": [str(violation) for violation in getattr(error, "violations", ())],
    }


def _bytes(message: Any) -> bytes:
    return message.SerializeToString()  # type: ignore[no-any-return]


def _leave_with_parent(parent: int) -> None:
    """A forked child of the scheduler may keep our input open after the scheduler's death: so end of file is not enough."""
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK)
    os._exit(0)


def _sender(fd: int) -> Callable[[Frame], None]:
    lock = threading.Lock()

    def send(frame: Frame) -> None:
        view = memoryview(frame.encode())
        with lock:
            try:
                while view:
                    view = view[os.write(fd, view):]
            except OSError:
                os._exit(0)  # nobody reads any more

    return send


def main() -> NoReturn:
    """Serves until standard input ends, and with it the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the scheduler decides
    threading.Thread(target=_leave_with_parent, args=(os.getppid(),), daemon=True).start()
    out = os.dup(1)
    os.dup2(2, 1)  # nothing that prints may break the frames
    send, frames = _sender(out), FrameBuffer()
    relay = None
    while True:
        data = os.read(0, 1 << 18)
        if not data:
            os._exit(0)
        for frame in frames.feed(data):
            if frame.kind == Kind.HELLO:
                relay = _hello(frame, send)
            elif relay is not None:
                relay.take(frame)


def _hello(frame: Frame, send: Callable[[Frame], None]) -> Relay:
    from boxkeeper.client import Client, ConnectionSettings

    hello = json.loads(frame.body)
    # The courier repeats by itself, and wants to know at once that nobody answers.
    relay = Relay(Client(ConnectionSettings(**{**hello["settings"], "max_attempts": 1})), hello["owner"], send)
    relay.start()
    return relay
