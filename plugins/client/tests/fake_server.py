"""A daemon in this process: each method answers by a function of the test, and what was asked is kept."""

import concurrent.futures
import os
import shutil
import tempfile
import threading

import grpc
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2

from boxkeeper.v1 import admin_pb2_grpc, executor_pb2_grpc

_STREAMS = ("WatchEvents", "ReadLog", "ReadArtifact")


class Refusal(Exception):
    """Raised by an answer: ends the call as the daemon does, with details; without a reason as gRPC itself does."""

    def __init__(self, code, reason="", message="", violations=(), retry_after=None, metadata=None):
        super().__init__(message)
        self.code, self.message = code, message
        self.status = None
        if not reason:
            return
        self.status = status_pb2.Status(code=code.value[0], message=message)
        self._add(error_details_pb2.ErrorInfo(reason=reason, domain="boxkeeper", metadata=metadata or {}))
        if violations:
            bad = error_details_pb2.BadRequest()
            for field, description in violations:
                bad.field_violations.add(field=field, description=description)
            self._add(bad)
        if retry_after is not None:
            delay = duration_pb2.Duration()
            delay.FromMilliseconds(int(retry_after * 1000))
            self._add(error_details_pb2.RetryInfo(retry_delay=delay))

    def _add(self, detail):
        self.status.details.add().Pack(detail)

    def end(self, context):
        if self.status is not None:
            context.set_trailing_metadata((("grpc-status-details-bin", self.status.SerializeToString()),))
        context.abort(self.code, self.message)


class FakeServer:
    """`answers[method]` is a function of the request (PutBlob: of the list of requests) that returns a message, a list of
    messages for a stream, or raises Refusal. `requests[method]` is what came, `metadata` that of the last call."""

    def __init__(self):
        self._folder = tempfile.mkdtemp(prefix="bk-fake-", dir="/tmp")
        self.address = "unix:" + os.path.join(self._folder, "grpc.sock")
        self.answers, self.requests, self.metadata, self.deadlines = {}, {}, {}, []
        self.released = threading.Event()  # ends answers that wait
        self._server = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *failure):
        self.released.set()
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self):
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        executor_pb2_grpc.add_ExecutorServicer_to_server(_Servicer(self, executor_pb2_grpc.ExecutorServicer), self._server)
        admin_pb2_grpc.add_AdminServicer_to_server(_Servicer(self, admin_pb2_grpc.AdminServicer), self._server)
        self._server.add_insecure_port(self.address)
        self._server.start()

    def stop(self):
        """Ends the server and its calls at once."""
        if self._server is not None:
            self._server.stop(0).wait()
            self._server = None

    def count(self, method):
        return len(self.requests.get(method, ()))

    def take(self, method, request, context):
        """Keeps the request and answers it."""
        self.metadata = dict(context.invocation_metadata())
        self.deadlines.append(context.time_remaining())
        self.requests.setdefault(method, []).append(request)
        answer = self.answers.get(method)
        if answer is None:
            Refusal(grpc.StatusCode.UNIMPLEMENTED, message="the test gave no answer").end(context)
        try:
            return answer(request)
        except Refusal as refusal:
            refusal.end(context)


class _Servicer:
    """Every method of a generated servicer, answered by a FakeServer."""

    def __init__(self, server, servicer):
        for name in (n for n in vars(servicer) if n[0].isupper()):
            setattr(self, name, _stream(server, name) if name in _STREAMS else _unary(server, name))


def _unary(server, name):
    def handle(request, context):
        return server.take(name, list(request) if name == "PutBlob" else request, context)

    return handle


def _stream(server, name):
    def handle(request, context):
        for message in server.take(name, request, context):
            if isinstance(message, Refusal):
                message.end(context)
            yield message

    return handle


def in_turn(*answers):
    """An answer that is another at each call: a message, a list, or a Refusal to raise; the last one stays."""
    left = list(answers)

    def answer(_):
        current = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(current, Exception):
            raise current
        return current

    return answer
