"""The client for asyncio: the methods of boxkeeper.client.sync.Client, to be awaited or iterated with `async for`."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Any, Generic, Optional, TypeVar, Union

import grpc
import grpc.aio

from boxkeeper.client import _channel, _operations, _retry, _status, _streams, errors, names
from boxkeeper.client._operations import KeyLike
from boxkeeper.client._streams import Blob
from boxkeeper.client.settings import ConnectionSettings
from boxkeeper.v1 import admin_pb2, admin_pb2_grpc, executor_pb2, executor_pb2_grpc, task_pb2

T = TypeVar("T")


class AsyncClient:
    """As Client, which describes each method, for one event loop. To be made inside it."""

    def __init__(self, settings: Optional[ConnectionSettings] = None) -> None:
        self.settings = settings or ConnectionSettings()
        self._channel = _channel.open_channel(self.settings, grpc.aio)
        self._stubs = (executor_pb2_grpc.ExecutorStub(self._channel), admin_pb2_grpc.AdminStub(self._channel))
        self._closed = False
        self._limits: dict[str, _operations.Limits] = {}

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends calls and streams that are open."""
        self._closed = True
        await self._channel.close()

    # Submitting and cancelling

    async def submit_tasks(self, specs: Iterable[task_pb2.TaskSpec], validate_only: bool = False, *,
                           timeout: Optional[float] = None) -> list[executor_pb2.SubmitResult]:
        return await self._run(_operations.submit_tasks(specs, validate_only, self._limits), timeout)

    async def submit(self, spec: task_pb2.TaskSpec, *, timeout: Optional[float] = None) -> executor_pb2.SubmitResult:
        return await self._run(_operations.submit(spec, self._limits), timeout)

    async def cancel_tasks(self, ids: Iterable[str] = (), keys: Iterable[KeyLike] = (),
                           filter: Optional[executor_pb2.TaskFilter] = None, *, force: bool = False,
                           grace: Optional[float] = None, reason: str = "", suppress_events: bool = False,
                           timeout: Optional[float] = None) -> list[executor_pb2.CancelResult]:
        return await self._run(_operations.cancel_tasks(ids, keys, filter, force, grace, reason, suppress_events), timeout)

    async def renew_lease(self, ids: Iterable[str], *, timeout: Optional[float] = None) -> list[str]:
        return await self._run(_operations.renew_lease(ids), timeout)

    # Looking and waiting

    async def get_task(self, id: Optional[str] = None, key: Optional[KeyLike] = None, generation: int = 0, *,
                       timeout: Optional[float] = None) -> task_pb2.Task:
        return await self._run(_operations.get_task(id, key, generation), timeout)

    async def list_tasks(self, filter: Optional[executor_pb2.TaskFilter] = None, *, page_size: int = 500,
                         timeout: Optional[float] = None) -> AsyncIterator[task_pb2.Task]:
        token = ""
        while True:
            page = await self._run(_operations.list_page(filter, token, page_size), timeout)
            for task in page.tasks:
                yield task
            token = page.next_page_token
            if not token:
                return

    async def snapshot(self, filter: Optional[executor_pb2.TaskFilter] = None, *,
                       timeout: Optional[float] = None) -> tuple[list[task_pb2.Task], str]:
        return await self._run(_operations.snapshot(filter), timeout)

    async def wait(self, ids: Iterable[str], until: names.Name = "END", timeout: Optional[float] = None) -> list[task_pb2.Task]:
        return await self._run(_operations.wait(ids, until, timeout), None if timeout is None else timeout + self.settings.timeout)

    async def get_capacity(self, *, timeout: Optional[float] = None) -> executor_pb2.GetCapacityResponse:
        return await self._run(_operations.get_capacity(), timeout)

    async def get_status(self, *, timeout: Optional[float] = None) -> admin_pb2.GetStatusResponse:
        return await self._run(_operations.get_status(), timeout)

    async def list_providers(self, *, timeout: Optional[float] = None) -> list[admin_pb2.ProviderStatus]:
        return await self._run(_operations.list_providers(), timeout)

    # Events

    def watch_events(self, owner: str, cursor: str = "", follow: bool = True, *,
                     reconnect_timeout: Optional[float] = None) -> AsyncStream[task_pb2.Event]:
        outage = _retry.Outage(self.settings.reconnect_timeout if reconnect_timeout is None else reconnect_timeout)
        return AsyncStream(self, _streams.EventPlan(owner, cursor, follow), outage)

    async def ack_events(self, owner: str, cursor: str, *, timeout: Optional[float] = None) -> None:
        await self._run(_operations.ack_events(owner, cursor), timeout)

    async def adopt_tasks(self, new_owner: str, keys: Iterable[KeyLike] = (), ids: Iterable[str] = (), *,
                          timeout: Optional[float] = None) -> list[executor_pb2.AdoptResult]:
        return await self._run(_operations.adopt_tasks(new_owner, keys, ids), timeout)

    # Bytes

    def read_log(self, id: str, stream: names.Name = "STDOUT", offset: int = 0, tail_lines: Optional[int] = None,
                 follow: bool = False, unstored: bool = False, *,
                 timeout: Optional[float] = None) -> AsyncStream[executor_pb2.ReadLogResponse]:
        plan = _streams.LogPlan(id, stream, offset, tail_lines, follow, unstored)
        return AsyncStream(self, plan, self._outage(follow, timeout))

    async def list_artifacts(self, id: Optional[str] = None, key: Optional[KeyLike] = None, *,
                             timeout: Optional[float] = None) -> task_pb2.OutputsStatus:
        return await self._run(_operations.list_artifacts(id, key), timeout)

    def read_artifact(self, path: str, id: Optional[str] = None, key: Optional[KeyLike] = None, offset: int = 0, *,
                      timeout: Optional[float] = None) -> AsyncStream[bytes]:
        return AsyncStream(self, _streams.artifact_plan(id, key, path, offset), self._outage(False, timeout))

    async def put_blob(self, content: Union[bytes, str, os.PathLike[str]], *, timeout: Optional[float] = None) -> Blob:
        """As Client.put_blob; the file is read, and its SHA-256 made, in a thread."""
        source = await asyncio.get_running_loop().run_in_executor(None, _streams.BlobSource, content)
        seconds = timeout if timeout is not None else self.settings.timeout + source.size / (4 << 20)
        attempts = _retry.Attempts(time.monotonic() + seconds, self.settings.max_attempts, True)
        answer = await self._attempt("PutBlob", source.requests, attempts.timeout, attempts.wait_after)
        return source.stored(answer)

    # How calls are made

    def _outage(self, follow: bool, timeout: Optional[float]) -> _retry.Outage:
        limit = self.settings.reconnect_timeout if follow else self.settings.timeout
        return _retry.Outage(limit, _streams.deadline(timeout))

    async def _run(self, operation: _operations.Operation[T], timeout: Optional[float]) -> T:
        end = time.monotonic() + (self.settings.timeout if timeout is None else timeout)
        answer: Any = None
        while True:
            try:
                call = operation.send(answer)
            except StopIteration as done:
                return done.value
            policy = _operations.policy(call, end, self.settings)
            answer = await self._attempt(call.method, lambda: call.request, policy.timeout, policy.wait_after)

    async def _attempt(self, method: str, make_request: Callable[[], Any], timeout: Callable[[], float],
                       wait_after: Callable[[errors.RpcFailed], Optional[float]]) -> Any:
        while True:
            try:
                return await self.stub(method)(make_request(), timeout=timeout(), metadata=_channel.metadata(self.settings))
            except grpc.RpcError as error:
                failure = _status.from_rpc_error(error, method, self.settings.address)
            except asyncio.CancelledError:
                if self._closed and not _is_being_cancelled():
                    raise errors.RpcFailed("the client was closed", code="CANCELLED", method=method) from None
                raise
            await self.pause(wait_after(failure), failure)

    async def pause(self, seconds: Optional[float], failure: errors.RpcFailed) -> None:
        """Waits before another attempt; raises `failure` if there is to be none (None), or if the client is closed."""
        if seconds is None or self._closed:
            raise failure
        await asyncio.sleep(seconds)

    def stub(self, method: str) -> Callable[..., Any]:
        """The generated stub's method of this name. InvalidSettings if the client is closed."""
        if self._closed:
            raise errors.InvalidSettings("the client is closed")
        return getattr(self._stubs[0] if hasattr(self._stubs[0], method) else self._stubs[1], method)


class AsyncStream(Generic[T], AsyncIterator[T]):
    """As Stream. `close`, or leaving it as an async context manager, ends the iteration."""

    def __init__(self, client: AsyncClient, plan: Any, outage: _retry.Outage) -> None:
        self._client = client
        self._plan = plan
        self._outage = outage
        self._call: Any = None
        self._closed = False
        self._items = self._iterate()

    async def __aenter__(self) -> AsyncStream[T]:
        return self

    async def __aexit__(self, *failure: Any) -> None:
        self.close()

    def __aiter__(self) -> AsyncStream[T]:
        return self

    async def __anext__(self) -> T:
        return await self._items.__anext__()

    @property
    def cursor(self) -> str:
        """Of the last event given; of watch_events only."""
        return str(self._plan.cursor)

    def close(self) -> None:
        self._closed = True
        if self._call is not None:
            self._call.cancel()

    async def _iterate(self) -> AsyncIterator[T]:
        while not self._closed:
            self._call = self._client.stub(self._plan.method)(
                self._plan.request(), timeout=self._outage.timeout(_streams.STREAM_SLICE),
                metadata=_channel.metadata(self._client.settings))
            try:
                async for message in self._call:
                    self._outage.over()
                    for item in self._plan.take(message):
                        if self._closed:
                            return
                        yield item
                if self._plan.finished():
                    return
                failure: errors.RpcFailed = _streams.ended_early(self._plan.method)
            except asyncio.CancelledError:
                if self._closed and not _is_being_cancelled():
                    return  # by close, not by the task's canceller
                raise
            except grpc.RpcError as error:
                if self._closed:
                    return
                failure = _status.from_rpc_error(error, self._plan.method, self._client.settings.address)
            await self._client.pause(self._outage.wait_after(failure), failure)


def _is_being_cancelled() -> bool:
    """Whether somebody cancels the current task, and not only our call. Python before 3.11 cannot tell: no."""
    cancelling = getattr(asyncio.current_task(), "cancelling", None)
    return bool(cancelling and cancelling())
