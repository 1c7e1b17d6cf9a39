"""Frames between the courier (in the scheduler) and the relay (its child process, the only one that speaks gRPC).

A frame is a header and a body. Bodies are protobuf messages of boxkeeper/v1/executor.proto, or JSON where the table says so.

    kind       from     body                                          answer
    HELLO      courier  JSON: settings of the connection, owner       none; the event stream begins
    SUBMIT     courier  SubmitTasksRequest                            SubmitTasksResponse
    CANCEL     courier  CancelTasksRequest                            CancelTasksResponse
    ADOPT      courier  AdoptTasksRequest                             AdoptTasksResponse
    ACK        courier  AckEventsRequest                              AckEventsResponse
    CAPACITY   courier  GetCapacityRequest                            GetCapacityResponse
    RETIRE     courier  AckEventsRequest: owner only                  AckEventsResponse: all its events are acknowledged
    REPLY      relay    the answer of the call with this number
    ERROR      relay    JSON: code, reason, message, retry_after, violations
    EVENT      relay    Event
    STREAM     relay    JSON: up (bool), message

Neither Airflow nor gRPC is imported here.
"""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

_HEADER = struct.Struct("!IIIB")  # bytes of the body, number of the call, milliseconds it may take, kind
MAX_BODY = 64 << 20  # bytes; the daemon's own limit of a request is 16 MiB


class Kind(enum.IntEnum):
    """What a frame's body is."""

    HELLO = 0
    SUBMIT = 1
    CANCEL = 2
    ADOPT = 3
    ACK = 4
    CAPACITY = 5
    RETIRE = 6
    REPLY = 16
    ERROR = 17
    EVENT = 18
    STREAM = 19


class Frame(NamedTuple):
    """One frame. `call` pairs a question and its answer (0 where there is none); `timeout_ms` bounds the call."""

    kind: Kind
    body: bytes
    call: int = 0
    timeout_ms: int = 0

    def encode(self) -> bytes:
        """The bytes on the pipe."""
        return _HEADER.pack(len(self.body), self.call, self.timeout_ms, self.kind) + self.body


class BrokenFrame(Exception):
    """The bytes are no frames: the other side is not what it should be."""


class FrameBuffer:
    """Cuts a byte stream into frames. Not thread safe."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete with `data`. BrokenFrame: nothing after it can be trusted."""
        self._bytes += data
        frames = []
        while len(self._bytes) >= _HEADER.size:
            length, call, timeout_ms, kind = _HEADER.unpack_from(self._bytes)
            if length > MAX_BODY:
                raise BrokenFrame(f"a frame of {length} bytes")
            end = _HEADER.size + length
            if len(self._bytes) < end:
                break
            try:
                frames.append(Frame(Kind(kind), bytes(self._bytes[_HEADER.size:end]), call, timeout_ms))
            except ValueError:
                raise BrokenFrame(f"a frame of kind {kind}") from None
            del self._bytes[:end]
        return frames
