"""The pipe to the relay process: starts it, asks, hears answers and events, notices its death. Owned by one thread."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Optional

from boxkeeper.airflow.executors.wire import BrokenFrame, Frame, FrameBuffer, Kind

log = logging.getLogger(__name__)

_CALL_MARGIN = 5.0   # seconds that a relay may answer later than a call's own deadline
_LEAVE = 1.0         # seconds that a relay has to leave by itself
_READ = 1 << 18      # bytes
_RESPAWN = (0.2, 10.0)  # seconds: first and longest wait before the next relay

# Gets an answer's body, or None and what went wrong: code, reason, message, retry_after.
Then = Callable[[Optional[bytes], Mapping[str, Any]], None]


@dataclasses.dataclass
class _Call:
    kind: Kind
    then: Then
    deadline: float


def spawn_relay() -> subprocess.Popen[bytes]:
    """A relay that reads frames on its standard input. It finds modules where this process does, in the same order: DAG folders
    are on the path too, and must not come before the standard library."""
    path = [str(entry) for entry in sys.path]
    code = f"import sys; sys.path[:] = {path!r}; from boxkeeper.airflow.executors.relay import main; main()"
    return subprocess.Popen([sys.executable, "-c", code, "boxkeeper.airflow.executors.relay"], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, bufsize=0)


class RelayLink:
    """One relay at a time. Every call is answered exactly once: by the relay, or with UNAVAILABLE when it is lost."""

    def __init__(self, hello: Mapping[str, Any], on_frame: Callable[[Frame], None],
                 spawn: Optional[Callable[[], subprocess.Popen[bytes]]] = None) -> None:
        """`hello`: connection settings and owner, sent first; `on_frame`: takes EVENT and STREAM frames."""
        self._hello = Frame(Kind.HELLO, json.dumps(dict(hello)).encode())
        self._on_frame = on_frame
        self._spawn = spawn or spawn_relay
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._out = bytearray()
        self._frames = FrameBuffer()
        self._calls: dict[int, _Call] = {}
        self._next_call = 1
        self._open_at = 0.0
        self._tries = 0  # relays started since one has answered

    @property
    def pid(self) -> Optional[int]:
        """Of the relay; None while there is none."""
        return self._process.pid if self._process is not None else None

    @property
    def up(self) -> bool:
        """Whether questions can be put."""
        return self._process is not None

    def busy(self, kind: Kind) -> bool:
        """Whether a call of this kind is under way."""
        return any(call.kind == kind for call in self._calls.values())

    def due(self) -> list[float]:
        """When something has to be done though nothing was heard, in time.monotonic() seconds."""
        return [call.deadline for call in self._calls.values()] if self.up else [self._open_at]

    def call(self, kind: Kind, body: bytes, timeout: float, then: Then) -> None:
        """Puts a question that may take `timeout` seconds. Only while `up`."""
        number, self._next_call = self._next_call, self._next_call % 0x7FFFFFFF + 1
        self._calls[number] = _Call(kind, then, time.monotonic() + timeout + _CALL_MARGIN)
        self._out += Frame(kind, body, number, int(timeout * 1000)).encode()

    def open(self) -> None:
        """Starts a relay if there is none and the wait after the last one's loss is over."""
        if self._process is not None or time.monotonic() < self._open_at:
            return
        self._open_at = time.monotonic() + min(_RESPAWN[0] * 2 ** min(self._tries, 10), _RESPAWN[1])
        self._tries += 1
        try:
            self._process = self._spawn()
        except OSError as error:
            log.error("boxkeeper: cannot start the relay: %s", error)
            return
        for pipe in (self._process.stdin, self._process.stdout):
            os.set_blocking(pipe.fileno(), False)  # type: ignore[union-attr]
        self._frames = FrameBuffer()
        self._out = bytearray(self._hello.encode())

    def poll(self, wake: socket.socket, timeout: float, read: bool) -> None:
        """Waits at most `timeout` seconds for the relay (answers and events only if `read`) or for `wake`, and handles it."""
        with selectors.DefaultSelector() as selector:
            selector.register(wake, selectors.EVENT_READ, lambda: _drain(wake))
            if self._process is not None:
                if read:
                    selector.register(self._process.stdout, selectors.EVENT_READ, self._read)  # type: ignore[arg-type]
                if self._out:
                    selector.register(self._process.stdin, selectors.EVENT_WRITE, self._write)  # type: ignore[arg-type]
            for key, _ in selector.select(timeout):
                key.data()
        if any(call.deadline <= time.monotonic() for call in self._calls.values()):
            self.lose("it does not answer")

    def _read(self) -> None:
        if self._process is None:
            return
        try:
            data = os.read(self._process.stdout.fileno(), _READ)  # type: ignore[union-attr]
            frames = self._frames.feed(data)
        except BlockingIOError:
            return
        except (OSError, BrokenFrame) as error:
            self.lose(str(error))
            return
        if not data:
            self.lose("it left")
        for frame in frames:
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        if frame.kind not in (Kind.REPLY, Kind.ERROR):
            self._on_frame(frame)
            return
        call = self._calls.pop(frame.call, None)
        if call is None:
            return
        if frame.kind == Kind.REPLY:
            self._tries = 0  # it works: a next one may start at once
            call.then(frame.body, {})
        else:
            call.then(None, json.loads(frame.body))

    def _write(self) -> None:
        if self._process is None:
            return
        try:
            del self._out[:os.write(self._process.stdin.fileno(), self._out[:_READ])]  # type: ignore[union-attr]
        except BlockingIOError:
            pass
        except OSError as error:
            self.lose(str(error))

    def lose(self, why: str) -> None:
        """Ends the relay and fails what it was asked."""
        process, self._process = self._process, None
        if process is None:
            return
        log.debug("boxkeeper: relay %s is gone: %s", process.pid, why)
        for pipe in (process.stdin, process.stdout):
            pipe.close()  # type: ignore[union-attr]
        try:
            process.wait(_LEAVE if why == "stopped" else 0.05)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        calls, self._calls = list(self._calls.values()), {}
        for call in calls:
            call.then(None, {"code": "UNAVAILABLE", "message": f"the relay process is gone: {why}"})

    def close_in_fork(self) -> None:
        """In a forked child: lets go of the pipes, so that the relay sees our end."""
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                pipe.close()  # type: ignore[union-attr]


def _drain(wake: socket.socket) -> None:
    try:
        while wake.recv(4096):
            pass
    except BlockingIOError:
        pass
