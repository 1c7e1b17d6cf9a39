"""A relay in this process: answers each frame with what the test says."""

import json
import os
import threading

from boxkeeper.airflow.executors.wire import Frame, FrameBuffer, Kind


class FakeRelay:
    """Looks like the Popen of a relay. `answer(frame)` gives a message, an error dict, or None: no answer for now."""

    def __init__(self, answer, pid):
        self.pid = pid
        self._answer = answer
        self._in, theirs_in = os.pipe()
        theirs_out, self._out = os.pipe()
        self.stdin, self.stdout = os.fdopen(theirs_in, "wb", 0), os.fdopen(theirs_out, "rb", 0)
        self.frames = []
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        buffer = FrameBuffer()
        while data := os.read(self._in, 1 << 16):
            for frame in buffer.feed(data):
                self.frames.append(frame)
                if frame.kind != Kind.HELLO:
                    self.reply(frame, self._answer(frame))
        os.close(self._in)
        self.leave()

    def reply(self, frame, answer):
        """Answers a frame, perhaps later than it was asked."""
        if isinstance(answer, dict):
            self.send(Frame(Kind.ERROR, json.dumps(answer).encode(), frame.call))
        elif answer is not None:
            self.send(Frame(Kind.REPLY, answer.SerializeToString(), frame.call))

    def send(self, frame):
        """A frame to the courier; nothing if it has gone."""
        with self._lock:
            if not self._closed:
                try:
                    os.write(self._out, frame.encode())
                except BrokenPipeError:
                    pass

    def leave(self):
        """As a relay that died."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._out)

    def wait(self, timeout=None):
        self._thread.join(timeout)
        return 0

    def kill(self):
        self.leave()
