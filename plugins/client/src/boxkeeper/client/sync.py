"""The client for ordinary code. Several threads may use one; a forked child makes its own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, Optional, TypeVar, Union

import grpc

from boxkeeper.client import _channel, _operations, _retry, _status, _streams, errors, names
from boxkeeper.client._operations import KeyLike
from boxkeeper.client._streams import Blob
from boxkeeper.client.settings import ConnectionSettings
from boxkeeper.v1 import admin_pb2, admin_pb2_grpc, executor_pb2, executor_pb2_grpc, task_pb2

T = TypeVar("T")


class Client:
    """One daemon's API. Every method raises only BoxkeeperError; `timeout` in seconds defaults to the settings'.

    A call that is safe to repeat is repeated with growing, random waits while the daemon is away or busy, up to
    `max_attempts` and within `timeout`: reading; submitting (a submission_id makes it the same task); acknowledging,
    adopting and renewing; cancelling by id. Cancelling by key or filter is not repeated.
    """

    def __init__(self, settings: Optional[ConnectionSettings] = None) -> None:
        """Opens no connection yet. InvalidSettings for what cannot work."""
        self.settings = settings or ConnectionSettings()
        self._channel = _channel.open_channel(self.settings, grpc)
        self._stubs = (executor_pb2_grpc.ExecutorStub(self._channel), admin_pb2_grpc.AdminStub(self._channel))
        self._closed = threading.Event()
        self._limits: dict[str, _operations.Limits] = {}

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def close(self) -> None:
        """Ends calls and streams that are open. Any thread may call it; calling it again does nothing."""
        self._closed.set()
        self._channel.close()

    # Submitting and cancelling

    def submit_tasks(self, specs: Iterable[task_pb2.TaskSpec], validate_only: bool = False, *,
                     timeout: Optional[float] = None) -> list[executor_pb2.SubmitResult]:
        """One result per item, same order: ACCEPTED, DUPLICATE (what an earlier attempt had stored), ALREADY_LIVE, QUEUE_FULL
        or REJECTED. Splits what is too much for one request; if a later part fails, repeat all: nothing is stored twice."""
        return self._run(_operations.submit_tasks(specs, validate_only, self._limits), timeout)

    def submit(self, spec: task_pb2.TaskSpec, *, timeout: Optional[float] = None) -> executor_pb2.SubmitResult:
        """Submits one task: its result is ACCEPTED, or DUPLICATE if it was there. Raises Rejected, QueueFull, AlreadyLive."""
        return self._run(_operations.submit(spec, self._limits), timeout)

    def cancel_tasks(self, ids: Iterable[str] = (), keys: Iterable[KeyLike] = (),
                     filter: Optional[executor_pb2.TaskFilter] = None, *, force: bool = False, grace: Optional[float] = None,
                     reason: str = "", suppress_events: bool = False,
                     timeout: Optional[float] = None) -> list[executor_pb2.CancelResult]:
        """Cancels by ids and keys (a key: the live task and its successor), or all that a filter (task_filter) matches.

        One result each: CANCELLED, STOPPING, ALREADY_TERMINAL or NOT_FOUND. `grace`: seconds between TERM and KILL.
        """
        return self._run(_operations.cancel_tasks(ids, keys, filter, force, grace, reason, suppress_events), timeout)

    def renew_lease(self, ids: Iterable[str], *, timeout: Optional[float] = None) -> list[str]:
        """Renews the leases; returns the ids that are unknown or have ended."""
        return self._run(_operations.renew_lease(ids), timeout)

    # Looking and waiting

    def get_task(self, id: Optional[str] = None, key: Optional[KeyLike] = None, generation: int = 0, *,
                 timeout: Optional[float] = None) -> task_pb2.Task:
        """A task by id, or the newest (or this generation) of a key. NotFound if it never was, or was compacted."""
        return self._run(_operations.get_task(id, key, generation), timeout)

    def list_tasks(self, filter: Optional[executor_pb2.TaskFilter] = None, *, page_size: int = 500,
                   timeout: Optional[float] = None) -> Iterator[task_pb2.Task]:
        """The tasks that the filter (task_filter) matches, newest first; `timeout` is of each page."""
        token = ""
        while True:
            page = self._run(_operations.list_page(filter, token, page_size), timeout)
            yield from page.tasks
            token = page.next_page_token
            if not token:
                return

    def snapshot(self, filter: Optional[executor_pb2.TaskFilter] = None, *,
                 timeout: Optional[float] = None) -> tuple[list[task_pb2.Task], str]:
        """All tasks that the filter matches, and the cursor after which events are news to them: what to do after
        CursorGone."""
        return self._run(_operations.snapshot(filter), timeout)

    def wait(self, ids: Iterable[str], until: names.Name = "END", timeout: Optional[float] = None) -> list[task_pb2.Task]:
        """The tasks, same order, once all have reached END (terminal), LOG_COMPLETE or RUNNING (or an end).

        `timeout` None: as long as it takes. WaitTimeout carries the tasks as they are. Goes on when the daemon restarts;
        Unavailable after `reconnect_timeout` without it.
        """
        return self._run(_operations.wait(ids, until, timeout), None if timeout is None else timeout + self.settings.timeout)

    def get_capacity(self, *, timeout: Optional[float] = None) -> executor_pb2.GetCapacityResponse:
        """How much fits at the daemon and each provider, and the limits of requests."""
        return self._run(_operations.get_capacity(), timeout)

    def get_status(self, *, timeout: Optional[float] = None) -> admin_pb2.GetStatusResponse:
        """Version, readiness, and what people want to know of the daemon."""
        return self._run(_operations.get_status(), timeout)

    def list_providers(self, *, timeout: Optional[float] = None) -> list[admin_pb2.ProviderStatus]:
        """Each configured provider, whether it can be reached, and its capabilities."""
        return self._run(_operations.list_providers(), timeout)

    # Events

    def watch_events(self, owner: str, cursor: str = "", follow: bool = True, *,
                     reconnect_timeout: Optional[float] = None) -> Stream[task_pb2.Event]:
        """The owner's events after `cursor` ("": after the last acknowledged), in order, each at least once.

        Comes back by itself from its last cursor; Unavailable after `reconnect_timeout` without the daemon (default: the
        settings'). CursorGone: take a snapshot and watch from its cursor. Reading does not acknowledge.
        """
        outage = _retry.Outage(self.settings.reconnect_timeout if reconnect_timeout is None else reconnect_timeout)
        return Stream(self, _streams.EventPlan(owner, cursor, follow), outage)

    def ack_events(self, owner: str, cursor: str, *, timeout: Optional[float] = None) -> None:
        """Acknowledges this event and all before it, durably."""
        self._run(_operations.ack_events(owner, cursor), timeout)

    def adopt_tasks(self, new_owner: str, keys: Iterable[KeyLike] = (), ids: Iterable[str] = (), *,
                    timeout: Optional[float] = None) -> list[executor_pb2.AdoptResult]:
        """Moves tasks to a new owner; one result each, first of the ids, then of the keys: LIVE, TERMINAL or UNKNOWN."""
        return self._run(_operations.adopt_tasks(new_owner, keys, ids), timeout)

    # Bytes

    def read_log(self, id: str, stream: names.Name = "STDOUT", offset: int = 0, tail_lines: Optional[int] = None,
                 follow: bool = False, unstored: bool = False, *,
                 timeout: Optional[float] = None) -> Stream[executor_pb2.ReadLogResponse]:
        """One stream (STDOUT or STDERR) from an offset, or its last lines; `follow`: until the task has ended and every byte
        was given. `unstored`: instead, of a log in the airflow layout, the records of both streams that the log store does not
        have yet (for who has looked there before). Each chunk has `offset`, `data`, `dropped_bytes` (then no data) and `end`. Goes on where it broke."""
        plan = _streams.LogPlan(id, stream, offset, tail_lines, follow, unstored)
        return Stream(self, plan, self._outage(follow, timeout))

    def list_artifacts(self, id: Optional[str] = None, key: Optional[KeyLike] = None, *,
                       timeout: Optional[float] = None) -> task_pb2.OutputsStatus:
        """The outputs of a task that has ended; `artifacts` has each file."""
        return self._run(_operations.list_artifacts(id, key), timeout)

    def read_artifact(self, path: str, id: Optional[str] = None, key: Optional[KeyLike] = None, offset: int = 0, *,
                      timeout: Optional[float] = None) -> Stream[bytes]:
        """The bytes of one output file from an offset on, in pieces. Goes on where it broke."""
        return Stream(self, _streams.artifact_plan(id, key, path, offset), self._outage(False, timeout))

    def put_blob(self, content: Union[bytes, str, os.PathLike[str]], *, timeout: Optional[float] = None) -> Blob:
        """Stores bytes, or a file's content (a str is its path), for the files of later tasks (specs.make_file). What is
        there is not sent again. `timeout` defaults to the settings' and a second more per 4 MiB."""
        source = _streams.BlobSource(content)
        seconds = timeout if timeout is not None else self.settings.timeout + source.size / (4 << 20)
        attempts = _retry.Attempts(time.monotonic() + seconds, self.settings.max_attempts, True)
        answer = self._attempt("PutBlob", source.requests, attempts.timeout, attempts.wait_after)
        return source.stored(answer)

    # How calls are made

    def _outage(self, follow: bool, timeout: Optional[float]) -> _retry.Outage:
        limit = self.settings.reconnect_timeout if follow else self.settings.timeout
        return _retry.Outage(limit, _streams.deadline(timeout))

    def _run(self, operation: _operations.Operation[T], timeout: Optional[float]) -> T:
        """Makes the calls that the operation asks for; `timeout` is of all of them together, but for patient ones."""
        end = time.monotonic() + (self.settings.timeout if timeout is None else timeout)
        answer: Any = None
        while True:
            try:
                call = operation.send(answer)
            except StopIteration as done:
                return done.value
            policy = _operations.policy(call, end, self.settings)
            answer = self._attempt(call.method, lambda: call.request, policy.timeout, policy.wait_after)

    def _attempt(self, method: str, make_request: Callable[[], Any], timeout: Callable[[], float],
                 wait_after: Callable[[errors.RpcFailed], Optional[float]]) -> Any:
        while True:
            try:
                return self.stub(method)(make_request(), timeout=timeout(), metadata=_channel.metadata(self.settings))
            except grpc.RpcError as error:
                failure = _status.from_rpc_error(error, method, self.settings.address)
            self.pause(wait_after(failure), failure)

    def pause(self, seconds: Optional[float], failure: errors.RpcFailed) -> None:
        """Waits before another attempt; raises `failure` if there is to be none (None), or if the client is closed."""
        if seconds is None or self._closed.wait(seconds):
            raise failure

    def stub(self, method: str) -> Callable[..., Any]:
        """The generated stub's method of this name. InvalidSettings if the client is closed."""
        if self._closed.is_set():
            raise errors.InvalidSettings("the client is closed")
        return getattr(self._stubs[0] if hasattr(self._stubs[0], method) else self._stubs[1], method)


class Stream(Generic[T], Iterator[T]):
    """What a server stream gives, one by one, through interruptions. `close` may be called by any thread and ends the
    iteration; so does leaving it as a context manager."""

    def __init__(self, client: Client, plan: Any, outage: _retry.Outage) -> None:
        self._client = client
        self._plan = plan
        self._outage = outage
        self._lock = threading.Lock()  # of the two below
        self._call: Any = None
        self._closed = False
        self._items = self._iterate()

    def __enter__(self) -> Stream[T]:
        return self

    def __exit__(self, *failure: Any) -> None:
        self.close()

    def __iter__(self) -> Stream[T]:
        return self

    def __next__(self) -> T:
        return next(self._items)

    @property
    def cursor(self) -> str:
        """Of the last event given; of watch_events only."""
        return str(self._plan.cursor)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            call = self._call
        if call is not None:
            call.cancel()

    def _open(self) -> Any:
        """A new call; None if the stream was closed."""
        settings = self._client.settings
        with self._lock:
            if not self._closed:
                self._call = self._client.stub(self._plan.method)(
                    self._plan.request(), timeout=self._outage.timeout(_streams.STREAM_SLICE), metadata=_channel.metadata(settings))
            return None if self._closed else self._call

    def _iterate(self) -> Iterator[T]:
        while (call := self._open()) is not None:
            try:
                for message in call:
                    self._outage.over()
                    for item in self._plan.take(message):
                        if self._closed:
                            return
                        yield item
                if self._plan.finished():
                    return
                failure: errors.RpcFailed = _streams.ended_early(self._plan.method)
            except grpc.RpcError as error:
                if self._closed:
                    return
                failure = _status.from_rpc_error(error, self._plan.method, self._client.settings.address)
            self._client.pause(self._outage.wait_after(failure), failure)
