"""What the clients do, without IO: generators that yield calls, are sent the answers and return the result.

The sync and the asyncio client each have a loop that makes the calls; everything else about a request stands here once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Optional, TypeVar, Union

from google.protobuf.message import Message

from boxkeeper.client import _retry, errors, keys, names
from boxkeeper.client.settings import ConnectionSettings
from boxkeeper.v1 import admin_pb2, executor_pb2, task_pb2

T = TypeVar("T")
KeyLike = Union[task_pb2.TaskKey, str]
ITEMS_MAX = 1000            # of a list of one request (docs/errors.md: TOO_MANY_ITEMS)
_SURE_ITEMS = 100           # what any daemon takes: not worth asking for its limits
_SURE_BYTES = 1 << 20
_WAIT_SLICE = 60.0          # seconds of one WaitTask call
_WAIT_MARGIN = 10.0         # seconds that its answer may be late


class Call(NamedTuple):
    """One unary call. `patient`: goes on through an outage of the daemon; `timeout`: seconds of its own."""

    method: str
    request: Message
    idempotent: bool = True
    patient: bool = False
    timeout: Optional[float] = None


Operation = Generator[Call, Any, T]


class Policy(NamedTuple):
    """Seconds for the next attempt of a call, and seconds to wait after one that failed; None: no more."""

    timeout: Callable[[], float]
    wait_after: Callable[[errors.RpcFailed], Optional[float]]


def policy(call: Call, deadline: float, settings: ConnectionSettings) -> Policy:
    """How to attempt a call that must be through by `deadline` (monotonic seconds), unless it is patient."""
    if not call.patient:
        attempts = _retry.Attempts(deadline, settings.max_attempts, call.idempotent)
        return Policy(attempts.timeout, attempts.wait_after)
    outage = _retry.Outage(settings.reconnect_timeout)
    return Policy(lambda: outage.timeout(call.timeout or settings.timeout), outage.wait_after)


def _chunks(items: Sequence[T], size: int = ITEMS_MAX) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start:start + size]


def _as_key(key: KeyLike) -> task_pb2.TaskKey:
    return keys.parse_key(key) if isinstance(key, str) else key


def ref(id: Optional[str] = None, key: Optional[KeyLike] = None) -> executor_pb2.TaskRef:
    """A task by exactly one of id and key (message or string form)."""
    if bool(id) == (key is not None):
        raise errors.InvalidSettings("name the task by exactly one of id and key")
    return executor_pb2.TaskRef(id=id) if key is None else executor_pb2.TaskRef(key=_as_key(key))


def _refs(ids: Iterable[str], keys_: Iterable[KeyLike]) -> list[executor_pb2.TaskRef]:
    return [ref(id=i) for i in ids] + [ref(key=k) for k in keys_]


class Limits(NamedTuple):
    """Of one SubmitTasks."""

    items: int
    bytes: int


def _batches(specs: Sequence[task_pb2.TaskSpec], limits: Limits) -> Iterator[list[task_pb2.TaskSpec]]:
    """`specs` in order, in batches that the daemon takes. An item above the limit goes alone: the daemon says so."""
    batch: list[task_pb2.TaskSpec] = []
    size = 0
    for spec in specs:
        cost = spec.ByteSize() + 8  # tag and length
        if batch and (len(batch) >= limits.items or size + cost > limits.bytes):
            yield batch
            batch, size = [], 0
        batch.append(spec)
        size += cost
    if batch:
        yield batch


def submit_tasks(specs: Iterable[task_pb2.TaskSpec], validate_only: bool,
                 known: dict[str, Limits]) -> Operation[list[executor_pb2.SubmitResult]]:
    """`known` keeps the daemon's limits between calls."""
    items = list(specs)
    for spec in items:
        if not spec.submission_id:
            raise errors.InvalidSettings("a TaskSpec needs a submission_id: it is what makes repeating safe")
    sure = len(items) <= _SURE_ITEMS and sum(spec.ByteSize() + 8 for spec in items) <= _SURE_BYTES
    if not sure and "submit" not in known:
        capacity = yield Call("GetCapacity", executor_pb2.GetCapacityRequest())
        # A little room for the request's own fields.
        known["submit"] = Limits(capacity.max_items or ITEMS_MAX, (capacity.max_batch_bytes or 8 << 20) - 1024)
    results: list[executor_pb2.SubmitResult] = []
    for batch in _batches(items, known.get("submit", Limits(_SURE_ITEMS, _SURE_BYTES))):
        request = executor_pb2.SubmitTasksRequest(tasks=batch, validate_only=validate_only)
        answer = yield Call("SubmitTasks", request)
        results.extend(answer.results)
    return results


def submit(spec: task_pb2.TaskSpec, known: dict[str, Limits]) -> Operation[executor_pb2.SubmitResult]:
    result = (yield from submit_tasks([spec], False, known))[0]
    outcome = executor_pb2.SubmitResult.Outcome.Name(result.outcome)
    what = f"{keys.key_string(spec.key)}: {outcome}"
    if outcome == "REJECTED":
        mistakes = "; ".join(f"{v.field}: {v.description}" for v in result.violations)
        raise errors.Rejected(f"{what}: {mistakes or result.message}", result)
    if outcome == "QUEUE_FULL":
        raise errors.QueueFull(f"{what}: {result.message}", result)
    if outcome == "ALREADY_LIVE":
        raise errors.AlreadyLive(f"{what}: task {result.id} is {names.state_name(result.state)}", result)
    return result


def get_task(id: Optional[str], key: Optional[KeyLike], generation: int) -> Operation[task_pb2.Task]:
    task = yield Call("GetTask", executor_pb2.GetTaskRequest(task=ref(id, key), generation=generation))
    return task


def list_page(filter: Optional[executor_pb2.TaskFilter], token: str, size: int) -> Operation[executor_pb2.ListTasksResponse]:
    request = executor_pb2.ListTasksRequest(filter=filter, page_token=token, page_size=size)
    answer = yield Call("ListTasks", request)
    return answer


def snapshot(filter: Optional[executor_pb2.TaskFilter]) -> Operation[tuple[list[task_pb2.Task], str]]:
    page = yield from list_page(filter, "", ITEMS_MAX)
    tasks, cursor = list(page.tasks), page.snapshot_cursor
    while page.next_page_token:
        page = yield from list_page(filter, page.next_page_token, ITEMS_MAX)
        tasks.extend(page.tasks)
    return tasks, cursor


def wait(ids: Iterable[str], until: names.Name, timeout: Optional[float]) -> Operation[list[task_pb2.Task]]:
    end = None if timeout is None else time.monotonic() + timeout
    condition = names.enum_value(executor_pb2.WaitTaskRequest.Until, until)
    tasks: list[task_pb2.Task] = []
    timed_out = False
    for chunk in _chunks(list(ids)):
        while True:
            left = _WAIT_SLICE if end is None else max(0.001, min(_WAIT_SLICE, end - time.monotonic()))
            request = executor_pb2.WaitTaskRequest(ids=chunk, until=condition)
            request.timeout.FromMilliseconds(max(1, int(left * 1000)))
            answer = yield Call("WaitTask", request, patient=True, timeout=left + _WAIT_MARGIN)
            if not answer.timed_out or (end is not None and time.monotonic() >= end):
                break
        timed_out = timed_out or answer.timed_out
        tasks.extend(answer.tasks)
    if timed_out:
        raise errors.WaitTimeout(f"not all of {len(tasks)} tasks reached {until} within {timeout} s", tasks)
    return tasks


def cancel_tasks(ids: Iterable[str], keys_: Iterable[KeyLike], filter: Optional[executor_pb2.TaskFilter], force: bool,
                 grace: Optional[float], reason: str, suppress_events: bool) -> Operation[list[executor_pb2.CancelResult]]:
    refs = _refs(ids, keys_)
    if bool(refs) and filter is not None:
        raise errors.InvalidSettings("cancel by ids and keys, or by filter, not both")
    results: list[executor_pb2.CancelResult] = []
    for chunk in _chunks(refs) if filter is None else [()]:
        request = executor_pb2.CancelTasksRequest(tasks=chunk, filter=filter, force=force, reason=reason,
                                                  suppress_events=suppress_events)
        if grace is not None:
            request.grace.FromMilliseconds(int(grace * 1000))
        # By key or filter a repeat could hit a task that was submitted in between.
        answer = yield Call("CancelTasks", request, idempotent=all(r.HasField("id") for r in chunk) and filter is None)
        results.extend(answer.results)
    return results


def ack_events(owner: str, cursor: str) -> Operation[None]:
    yield Call("AckEvents", executor_pb2.AckEventsRequest(owner=owner, cursor=cursor))


def adopt_tasks(new_owner: str, keys_: Iterable[KeyLike], ids: Iterable[str]) -> Operation[list[executor_pb2.AdoptResult]]:
    results: list[executor_pb2.AdoptResult] = []
    for chunk in _chunks(_refs(ids, keys_)):
        answer = yield Call("AdoptTasks", executor_pb2.AdoptTasksRequest(new_owner=new_owner, tasks=chunk))
        results.extend(answer.results)
    return results


def list_artifacts(id: Optional[str], key: Optional[KeyLike]) -> Operation[task_pb2.OutputsStatus]:
    answer = yield Call("ListArtifacts", executor_pb2.ListArtifactsRequest(task=ref(id, key)))
    return answer.outputs


def renew_lease(ids: Iterable[str]) -> Operation[list[str]]:
    missing: list[str] = []
    for chunk in _chunks(list(ids)):
        answer = yield Call("RenewLease", executor_pb2.RenewLeaseRequest(ids=chunk))
        missing.extend(answer.not_found)
    return missing


def get_capacity() -> Operation[executor_pb2.GetCapacityResponse]:
    answer = yield Call("GetCapacity", executor_pb2.GetCapacityRequest())
    return answer


def get_status() -> Operation[admin_pb2.GetStatusResponse]:
    answer = yield Call("GetStatus", admin_pb2.GetStatusRequest())
    return answer


def list_providers() -> Operation[list[admin_pb2.ProviderStatus]]:
    answer = yield Call("ListProviders", admin_pb2.ListProvidersRequest())
    return list(answer.providers)


def task_filter(key_prefix: str = "", owner: Optional[str] = None, states: Iterable[names.Name] = (),
                labels: Optional[Mapping[str, str]] = None) -> executor_pb2.TaskFilter:
    """A filter for list_tasks and cancel_tasks: all conditions given must hold. `key_prefix` is of the string form
    (see keys.key_prefix); `states` are names as "RUNNING"; owner "" means tasks that nobody owns."""
    return executor_pb2.TaskFilter(key_prefix=key_prefix, owner=owner, labels=dict(labels or {}),
                                   states=[names.enum_value(task_pb2.TaskState, s, "TASK_STATE_") for s in states])
