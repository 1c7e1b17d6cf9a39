"""Server streams that go on where they broke, without IO: what to ask next, what a message gives, when it is over."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from typing import NamedTuple, Optional, Union

from google.protobuf.message import Message

from boxkeeper.client import _operations, errors, names
from boxkeeper.v1 import executor_pb2, task_pb2

STREAM_SLICE = 3600.0   # seconds after which a stream is asked for anew: no call is without a deadline
_PIECE = 1 << 20        # bytes of one PutBlobRequest; the daemon takes 4 MiB


class EventPlan:
    """WatchEvents from the last cursor that was given to the caller."""

    method = "WatchEvents"

    def __init__(self, owner: str, cursor: str, follow: bool) -> None:
        self._owner = owner
        self._follow = follow
        self.cursor = cursor

    def request(self) -> Message:
        return executor_pb2.WatchEventsRequest(owner=self._owner, cursor=self.cursor, follow=self._follow)

    def take(self, message: executor_pb2.WatchEventsResponse) -> Iterator[task_pb2.Event]:
        for event in message.events:
            self.cursor = event.cursor
            yield event

    def finished(self) -> bool:
        """Whether a stream that ended without an error has said all."""
        return not self._follow


class LogPlan:
    """ReadLog from the first byte that was not given to the caller."""

    method = "ReadLog"

    def __init__(self, id: str, stream: names.Name, offset: int, tail_lines: Optional[int], follow: bool,
                 unstored: bool = False) -> None:
        self._id = id
        self._stream = names.enum_value(executor_pb2.ReadLogRequest.Stream, stream)
        self._offset: Optional[int] = offset if tail_lines is None else None
        self._tail = tail_lines
        self._follow = follow
        self._unstored = unstored

    def request(self) -> Message:
        request = executor_pb2.ReadLogRequest(id=self._id, stream=self._stream, follow=self._follow)
        if self._unstored:
            request.unstored = True
        elif self._offset is None:
            request.tail_lines = self._tail or 0
        else:
            request.offset = self._offset
        return request

    def take(self, message: executor_pb2.ReadLogResponse) -> Iterator[executor_pb2.ReadLogResponse]:
        if self._unstored and message.data:  # an answer begins where the store ends, not where the last one broke
            given = max(0, min((self._offset or 0) - message.offset, len(message.data)))
            message.offset += given
            message.data = message.data[given:]
        self._offset = max(self._offset or 0, message.offset + len(message.data) + message.dropped_bytes)
        yield message

    def finished(self) -> bool:
        return True


class ArtifactPlan:
    """ReadArtifact from the first byte that was not given to the caller."""

    method = "ReadArtifact"

    def __init__(self, ref: executor_pb2.TaskRef, path: str, offset: int) -> None:
        self._ref = ref
        self._path = path
        self._offset = offset

    def request(self) -> Message:
        return executor_pb2.ReadArtifactRequest(task=self._ref, path=self._path, offset=self._offset)

    def take(self, message: executor_pb2.ReadArtifactResponse) -> Iterator[bytes]:
        self._offset = message.offset + len(message.data)
        if message.data:
            yield message.data

    def finished(self) -> bool:
        return True


class Blob(NamedTuple):
    """What put_blob stored: `sha256` is what a file of a task names; `existed`: it was there already."""

    sha256: str
    size: int
    existed: bool
    expires_at: float  # seconds since the epoch: it may be removed then, unless a task that has not ended names it


class BlobSource:
    """One content to be sent, as often as it takes: bytes, or a file that is read again for each attempt."""

    def __init__(self, content: Union[bytes, str, os.PathLike[str]]) -> None:
        self._content = content
        digest, self.size = hashlib.sha256(), 0
        for piece in self._pieces():
            digest.update(piece)
            self.size += len(piece)
        self.sha256 = digest.hexdigest()

    def _pieces(self) -> Iterator[bytes]:
        if isinstance(self._content, bytes):
            for start in range(0, len(self._content), _PIECE):
                yield self._content[start:start + _PIECE]
            return
        try:
            with open(self._content, "rb") as file:
                while piece := file.read(_PIECE):
                    yield piece
        except OSError as error:
            raise errors.InvalidSettings(f"cannot read {os.fspath(self._content)!r}: {error.strerror}") from None

    def requests(self) -> Iterator[executor_pb2.PutBlobRequest]:
        # The first goes without content: a daemon that has the blob answers before much is sent.
        yield executor_pb2.PutBlobRequest(sha256=self.sha256, size=self.size)
        for piece in self._pieces():
            yield executor_pb2.PutBlobRequest(data=piece)

    def stored(self, answer: executor_pb2.PutBlobResponse) -> Blob:
        return Blob(self.sha256, self.size, answer.existed, answer.expires_at.seconds + answer.expires_at.nanos / 1e9)


def deadline(timeout: Optional[float]) -> Optional[float]:
    """Monotonic seconds at which `timeout` is over; None for none."""
    return None if timeout is None else time.monotonic() + timeout


def ended_early(method: str) -> errors.Unavailable:
    """For a stream that should have gone on and ended without an error."""
    return errors.Unavailable("the daemon ended the stream", code="UNAVAILABLE", method=method)


def artifact_plan(id: Optional[str], key: Optional[_operations.KeyLike], path: str, offset: int) -> ArtifactPlan:
    return ArtifactPlan(_operations.ref(id, key), path, offset)
