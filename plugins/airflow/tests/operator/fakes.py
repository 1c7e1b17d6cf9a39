"""A client that keeps tasks in memory: the surface of boxkeeper.client that operators use, and what it promises."""

import datetime
import types

from boxkeeper.client import NotFound, errors, keys, names
from boxkeeper.v1 import executor_pb2, task_pb2


class FakeStream:
    """What read_log, read_artifact and watch_events give."""

    def __init__(self, items):
        self._items = iter(items)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._items)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.close()

    def close(self):
        self._items = iter(())


class FakeClient:
    """`on_submit(task)` decides what becomes of a task that was accepted; by default it succeeds without a word."""

    settings = types.SimpleNamespace(address="fake")

    def __init__(self, on_submit=None):
        self.tasks = []
        self.specs = []
        self.logs = {}       # (task id, stream) -> bytes
        self.artifacts = {}  # task id -> {path: bytes}
        self.cancelled = []
        self.renewed = []
        self.acknowledged = []
        self.refusals = []   # raised by the next submissions, in order
        self.on_submit = on_submit or (lambda task: end(task))

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        pass

    def submit(self, spec, *, timeout=None):
        if self.refusals:
            raise self.refusals.pop(0)
        for task in self.tasks:
            if task.submission_id == spec.submission_id:
                return executor_pb2.SubmitResult(outcome=executor_pb2.SubmitResult.DUPLICATE, id=task.id)
        task = self.add(spec)
        self.on_submit(task)
        return executor_pb2.SubmitResult(outcome=executor_pb2.SubmitResult.ACCEPTED, id=task.id)

    def add(self, spec):
        """Takes a submission as it is: the task is RUNNING."""
        task = task_pb2.Task(id=f"task{len(self.tasks)}", submission_id=spec.submission_id, key=spec.key,
                             key_string=keys.key_string(spec.key), owner=spec.owner, generation=len(self.tasks) + 1,
                             state=task_pb2.TASK_STATE_RUNNING, labels=spec.labels)
        self.tasks.append(task)
        self.specs.append(spec)
        return task

    def get_task(self, id=None, key=None, generation=0, *, timeout=None):
        for task in self.tasks:
            if task.id == id:
                return task
        raise NotFound("no such task", code="NOT_FOUND", reason="TASK_NOT_FOUND")

    def list_tasks(self, filter=None, *, page_size=500, timeout=None):
        return iter([task for task in reversed(self.tasks) if task.key_string.startswith(filter.key_prefix)])

    def wait(self, ids, until="END", timeout=None):
        tasks = [self.get_task(id) for id in ids]
        if not all(names.is_terminal(task) for task in tasks):
            raise errors.WaitTimeout("not yet", tasks)
        return tasks

    def cancel_tasks(self, ids=(), keys=(), filter=None, *, force=False, grace=None, reason="", suppress_events=False, timeout=None):
        for id in ids:
            self.cancelled.append(id)
            task = self.get_task(id)
            if not names.is_terminal(task):
                end(task, "CANCELLED", "CANCELLED", message=reason)
        return []

    def adopt_tasks(self, new_owner, keys=(), ids=(), *, timeout=None):
        for id in ids:
            self.get_task(id).owner = new_owner
        return []

    def watch_events(self, owner, cursor="", follow=True, *, reconnect_timeout=None):
        assert not follow
        return FakeStream([task_pb2.Event(cursor=task.id) for task in self.tasks if task.owner == owner])

    def ack_events(self, owner, cursor, *, timeout=None):
        self.acknowledged.append((owner, cursor))

    def renew_lease(self, ids, *, timeout=None):
        self.renewed.extend(ids)
        return []

    def read_log(self, id, stream="STDOUT", offset=0, tail_lines=None, follow=False, *, timeout=None):
        data = self.logs.get((id, stream), b"")
        return FakeStream([executor_pb2.ReadLogResponse(offset=0, data=data, end=True)] if data else [])

    def list_artifacts(self, id=None, key=None, *, timeout=None):
        found = self.artifacts.get(id, {})
        return task_pb2.OutputsStatus(collected=True, files=len(found), artifacts=[
            task_pb2.Artifact(path=path, size=len(content), sha256="0" * 64) for path, content in found.items()])

    def read_artifact(self, path, id=None, key=None, offset=0, *, timeout=None):
        content = self.artifacts[id][path]
        return FakeStream([content[:5], content[5:]])

    def put_blob(self, content, *, timeout=None):
        if not isinstance(content, bytes):
            with open(content, "rb") as file:
                content = file.read()
        return types.SimpleNamespace(sha256=f"{len(content):064x}")


def end(task, state="SUCCEEDED", reason="EXIT_CODE", code=None, signal=None, message="", ended_ago=0.0):
    """Ends a task; `code` defaults to 0 for a success."""
    task.state = task_pb2.TaskState.Value(f"TASK_STATE_{state}")
    task.reason = task_pb2.Reason.Value(f"REASON_{reason}")
    task.message = message
    if code is None and state == "SUCCEEDED":
        code = 0
    if code is not None:
        task.exit_code = code
    if signal is not None:
        task.signal = signal
    when = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=ended_ago)
    task.ended_at.FromDatetime(when.replace(tzinfo=None))


class FakeInstance:
    """A task instance, as far as an operator looks at one."""

    def __init__(self, task_id="job", try_number=1, map_index=-1, max_tries=3, ti_id=None):
        self.dag_id, self.run_id, self.task_id, self.map_index = "dag", "run", task_id, map_index
        self.try_number, self.max_tries = try_number, max_tries
        self.id = ti_id or f"ti-{task_id}-{map_index}-{try_number}"
        self.pushed = {}

    def xcom_push(self, key, value):
        self.pushed[key] = value


def context(**arguments):
    """The context of one try."""
    ti = FakeInstance(**arguments)
    return {"ti": ti, "task_instance": ti, "run_id": ti.run_id, "ds": "2026-01-02", "params": {"p": 1}}
