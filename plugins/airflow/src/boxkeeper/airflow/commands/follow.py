"""A task's output, live, in the log of the Airflow task."""

from __future__ import annotations

import collections
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Optional

from boxkeeper.airflow.commands.lines import LineAssembler

if TYPE_CHECKING:
    from boxkeeper.client import Client

STREAMS = ("STDOUT", "STDERR")
_CHUNKS_WAITING = 64   # of both streams; each at most 256 KiB
TAIL_LINES = 10        # kept for the message of a failure
_LOOK_SECONDS = 0.5    # how often the follower looks whether it was told to stop


class LogFollower:
    """Follows both streams of one task, each on a thread of its own, from their first byte to their end; the lines are
    given to `show` by the thread that calls `run`, so that Airflow's logging is used by the task's own thread only.

    Streams that break are resumed where they were, by the client. Leave it by `close`, which ends the threads.
    """

    def __init__(self, client: Client, task_id: str, show: Callable[[str], None], keep_bytes: int) -> None:
        self._client = client
        self._task_id = task_id
        self._show = show
        self._chunks: queue.Queue[tuple[str, Any]] = queue.Queue(_CHUNKS_WAITING)
        self._closed = threading.Event()
        self.tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)  # the last lines of both streams
        self._lines = {stream: LineAssembler(keep_bytes) for stream in STREAMS}
        self._streams: list[Any] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> LogFollower:
        for stream in STREAMS:
            source = self._client.read_log(self._task_id, stream, follow=True)
            self._streams.append(source)
            thread = threading.Thread(target=self._read, args=(stream, source), daemon=True, name=f"boxkeeper-{stream.lower()}")
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    @property
    def last_line(self) -> bytes:
        """The last line of stdout that is not blank; longer than keep_bytes if it was cut."""
        return self._lines["STDOUT"].last_line

    def run(self) -> None:
        """Shows every line until both streams are complete. Raises what a stream failed with, if it cannot be resumed."""
        left = len(STREAMS)
        while left:
            try:
                stream, item = self._chunks.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            if isinstance(item, Exception):
                raise item
            lines = self._lines[stream]
            if item is None:
                left -= 1
                self._show_all(lines.finish())
            elif item.dropped_bytes > 0:
                self._show_all(lines.gap(item.dropped_bytes))
            else:
                self._show_all(lines.feed(item.data))

    def close(self) -> None:
        """Ends the threads, wherever they are."""
        self._closed.set()
        for source in self._streams:
            source.close()
        for thread in self._threads:
            thread.join(2)

    def _show_all(self, lines: Any) -> None:
        for line in lines:
            self.tail.append(line)
            self._show(line)

    def _read(self, stream: str, source: Any) -> None:
        end: Optional[Exception] = None
        try:
            for chunk in source:
                if not self._put(stream, chunk):
                    return
        except Exception as error:  # handed over to run()
            end = error
        self._put(stream, end)

    def _put(self, stream: str, item: Any) -> bool:
        """False if the follower was closed meanwhile."""
        while not self._closed.is_set():
            try:
                self._chunks.put((stream, item), timeout=_LOOK_SECONDS)
                return True
            except queue.Full:
                continue
        return False
