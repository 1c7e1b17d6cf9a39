"""An HTTP proxy in front of a storage that does what networks and busy servers do, on demand.

It passes requests on as they are (Host too, so that signatures stay right) and applies the first fault that fits a request:

    proxy.fail("lost_answer", method="POST", path="uploadId", times=1)
"""

import contextlib
import random
import re
import socket
import socketserver
import struct
import threading
from dataclasses import dataclass, field

# What the kinds of fault do; see _Connection.
KINDS = ("busy", "reset", "trickle", "truncated", "wrong_etag", "lost_answer", "corrupt", "expired_token", "skewed")
_TRICKLE_BYTES = 7


@dataclass
class Fault:
    """`method` and `path` (a part of the target) say which requests; `times` how many, None for all; `share` how often."""

    kind: str
    method: str = ""
    path: str = ""
    times: int = None
    share: float = 1.0
    done: int = field(default=0, init=False)

    def fits(self, method, target, rng):
        if (self.method and method != self.method) or self.path not in target:
            return False
        if self.times is not None and self.done >= self.times:
            return False
        return rng.random() < self.share


def _read_head(stream):
    """Start line and header fields with the empty line; b"" at the end of the connection."""
    head = b""
    while True:
        line = stream.readline(65536)
        if not line:
            return b""
        head += line
        if line in (b"\r\n", b"\n") and head.strip():
            return head


def _value(head, name):
    found = re.search(rb"(?im)^" + name.encode() + rb":[ \t]*([^\r\n]*)", head)
    return found.group(1).decode() if found else None


def _read_body(stream, head):
    """The message's body as it is on the wire."""
    if (_value(head, "Transfer-Encoding") or "").lower() == "chunked":
        body = b""
        while True:
            line = stream.readline()
            size = int(line.split(b";")[0], 16)
            body += line + stream.read(size + 2)
            if size == 0:
                return body
    return stream.read(int(_value(head, "Content-Length") or 0))


def _error(status, code, fields=""):
    body = f"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>Injected.</Message></Error>"
    return (f"HTTP/1.1 {status} Fault\r\nContent-Type: application/xml\r\nx-ms-error-code: {code}\r\n{fields}"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


class _Connection(socketserver.StreamRequestHandler):
    """One client, and a connection of its own to the storage."""

    disable_nagle_algorithm = True

    def handle(self):
        with contextlib.suppress(OSError, ValueError):
            while self._exchange():
                pass

    def setup(self):
        super().setup()
        self.upstream = None
        self.server.owner.connections.add(self.request)

    def finish(self):
        self.server.owner.connections.discard(self.request)
        if self.upstream is not None:
            self.upstream[0].close()
        with contextlib.suppress(OSError):
            super().finish()

    def _exchange(self):
        """One request and its answer; False when the connection is over."""
        head = _read_head(self.rfile)
        if not head:
            return False
        method, target = head.split(b" ", 2)[:2]
        fault = self.server.owner.take(method.decode(), target.decode())
        if fault == "reset":
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        body = _read_body(self.rfile, head)
        own = {"busy": lambda: _error(503, "SlowDown", "Retry-After: 0\r\n"), "expired_token": lambda: _error(400, "ExpiredToken"),
               "skewed": lambda: _error(403, "RequestTimeTooSkewed", "Date: Wed, 01 Jan 2020 00:00:00 GMT\r\n")}.get(fault)
        if own:
            self.wfile.write(own())
            return True
        if fault == "corrupt" and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        answer_head, answer = self._ask(head, body, method == b"HEAD")
        return self._give(fault, answer_head, answer)

    def _ask(self, head, body, is_head):
        """The storage's answer; an old connection that it closed meanwhile is replaced."""
        for fresh in (False, True):
            if fresh or self.upstream is None:
                made = socket.create_connection(self.server.owner.upstream, timeout=60)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.upstream = (made, made.makefile("rb"))
            # A storage may refuse a request before it has all of it, and hang up: its answer counts.
            with contextlib.suppress(OSError):
                self.upstream[0].sendall(head + body)
            try:
                answer_head = _read_head(self.upstream[1])
                while answer_head.split(b" ", 2)[1:2] == [b"100"]:
                    answer_head = _read_head(self.upstream[1])
            except OSError:
                answer_head = b""
            if answer_head:
                status = int(answer_head.split(b" ", 2)[1])
                return answer_head, b"" if is_head or status in (204, 304) else _read_body(self.upstream[1], answer_head)
        raise OSError("the storage hung up")

    def _give(self, fault, head, body):
        if fault == "lost_answer":
            return False
        if fault == "wrong_etag":
            head = re.sub(rb"(?im)^etag:[^\r\n]*", b'ETag: "0123456789abcdef0123456789abcdef"', head)
        if fault == "truncated" and body:
            self.wfile.write(head + body[:len(body) // 2])
            return False
        if fault == "trickle":
            for at in range(0, len(head + body[:200]), _TRICKLE_BYTES):
                self.wfile.write((head + body[:200])[at:at + _TRICKLE_BYTES])
            body = body[200:]
            self.wfile.write(body)
            return True
        self.wfile.write(head + body)
        return True


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """Connections are cut on purpose here."""


class FaultProxy:
    """Listens on a loopback port in a thread. Use as a context manager; `endpoint` instead of the storage's."""

    def __init__(self, endpoint, seed=1):
        host, port = endpoint.partition("://")[2].rstrip("/").split(":")
        self.upstream = (host, int(port))
        self.connections = set()
        self.counts = {}
        self._faults = []
        self._rng = random.Random(seed)
        self._lock = threading.Lock()
        self._listener = _Listener(("127.0.0.1", 0), _Connection)
        self._listener.owner = self
        self.endpoint = f"http://127.0.0.1:{self._listener.server_address[1]}"
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join(10)
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def fail(self, kind, method="", path="", times=None, share=1.0):
        """Adds a fault behind those that are there."""
        assert kind in KINDS, kind
        with self._lock:
            self._faults.append(Fault(kind, method, path, times, share))

    def heal(self):
        """No faults any more; gives how often each kind happened."""
        with self._lock:
            self._faults = []
            return dict(self.counts)

    def take(self, method, target):
        """The kind of fault for a request, or None."""
        with self._lock:
            for fault in self._faults:
                if fault.fits(method, target, self._rng):
                    fault.done += 1
                    self.counts[fault.kind] = self.counts.get(fault.kind, 0) + 1
                    return fault.kind
        return None
