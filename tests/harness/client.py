"""A thin client over the generated stubs: the words of the tests instead of messages."""

import itertools
import threading
import uuid

import grpc

from tests.harness.stubs import admin_pb2_grpc, executor_pb2, executor_pb2_grpc, task_pb2
from tests.harness.waiting import SLOWNESS

TERMINAL = {task_pb2.TASK_STATE_SUCCEEDED, task_pb2.TASK_STATE_FAILED, task_pb2.TASK_STATE_CANCELLED, task_pb2.TASK_STATE_LOST}
_names = itertools.count(1)
_IDS_MAX = 1000  # of one request


def state_name(value):
    """RUNNING for TASK_STATE_RUNNING."""
    return task_pb2.TaskState.Name(value).removeprefix("TASK_STATE_")


def reason_name(value):
    """EXIT_CODE for REASON_EXIT_CODE."""
    return task_pb2.Reason.Name(value).removeprefix("REASON_")


def end(task):
    """How a task ended: (state, reason, exit code or None, signal or None)."""
    return (state_name(task.state), reason_name(task.reason),
            task.exit_code if task.HasField("exit_code") else None, task.signal if task.HasField("signal") else None)


def spec(argv=None, shell=None, python=None, name=None, owner="", override=None, **fields):
    """A complete, valid submission with a key and id of its own; `fields` are set on the TaskSpec as they are."""
    message = task_pb2.TaskSpec(submission_id=str(uuid.uuid4()), owner=owner, **fields)
    if not message.HasField("key"):
        message.key.name = name or f"task-{next(_names)}-{uuid.uuid4().hex[:8]}"
    if argv is not None:
        message.command.argv.args.extend(argv)
    if shell is not None:
        message.command.shell = shell
    if python is not None:
        message.command.script.lang = "python"
        message.command.script.body = python
    if override:
        message.sandbox_override.update(override)
    return message


def forever():
    """A command that runs until it is stopped, without using the processor."""
    return ["tail", "-f", "/dev/null"]


class Client:
    """Calls one daemon. Calls made while it is away wait for it, up to their deadline."""

    def __init__(self, target, credentials=None, token=None):
        options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.min_reconnect_backoff_ms", 50),
                   ("grpc.max_reconnect_backoff_ms", 200), ("grpc.max_receive_message_length", 64 << 20),
                   ("grpc.use_local_subchannel_pool", 1)]
        self.channel = (grpc.secure_channel(target, credentials, options) if credentials
                        else grpc.insecure_channel(target, options))
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self.executor = executor_pb2_grpc.ExecutorStub(self.channel)
        self.admin = admin_pb2_grpc.AdminStub(self.channel)

    def close(self):
        self.channel.close()

    def call(self, method, request, seconds=30, wait=True):
        """One unary call of a stub's method."""
        return method(request, timeout=seconds * SLOWNESS, wait_for_ready=wait, metadata=self.metadata)

    def health(self):
        """Answer of the overall health check: 1 = SERVING, 2 = NOT_SERVING; None if nobody answers."""
        check = self.channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=lambda _: b"",
                                         response_deserializer=lambda data: data)
        try:
            # Waiting for the connection keeps the channel polled: between calls that fail at once nobody would notice for
            # 5 s that the daemon is there.
            answer = check(None, timeout=2, wait_for_ready=True, metadata=self.metadata)
        except grpc.RpcError:
            return None
        return answer[1] if len(answer) > 1 else 0

    def submit_all(self, specs, **fields):
        """Results of one SubmitTasks call, in order."""
        return list(self.call(self.executor.SubmitTasks, executor_pb2.SubmitTasksRequest(tasks=specs, **fields)).results)

    def submit(self, task_spec):
        """Submits one task that must be accepted; returns its id."""
        result = self.submit_all([task_spec])[0]
        assert result.outcome == executor_pb2.SubmitResult.ACCEPTED, result
        return result.id

    def get(self, task_id):
        return self.call(self.executor.GetTask, executor_pb2.GetTaskRequest(task=executor_pb2.TaskRef(id=task_id)))

    def wait_all(self, ids, until=executor_pb2.WaitTaskRequest.END, seconds=60):
        """Tasks once all have reached `until`; fails if they have not within `seconds`."""
        if len(ids) > _IDS_MAX:
            return self.wait_all(ids[:_IDS_MAX], until, seconds) + self.wait_all(ids[_IDS_MAX:], until, seconds)
        request = executor_pb2.WaitTaskRequest(ids=ids, until=until)
        request.timeout.FromMilliseconds(int(seconds * SLOWNESS * 1000))
        answer = self.call(self.executor.WaitTask, request, seconds + 30)
        assert not answer.timed_out, [(t.id, state_name(t.state), t.message, t.waiting_for) for t in answer.tasks
                                      if t.state not in TERMINAL or until != executor_pb2.WaitTaskRequest.END][:5]
        return list(answer.tasks)

    def wait(self, task_id, until=executor_pb2.WaitTaskRequest.END, seconds=60):
        return self.wait_all([task_id], until, seconds)[0]

    def wait_running(self, task_id, seconds=30):
        """The task once it runs; fails if it ended before."""
        task = self.wait(task_id, executor_pb2.WaitTaskRequest.RUNNING, seconds)
        assert state_name(task.state) == "RUNNING", end(task)
        return task

    def run(self, task_spec, seconds=60):
        """Submits and waits for the end."""
        return self.wait(self.submit(task_spec), seconds=seconds)

    def cancel(self, *ids, **fields):
        """Outcomes of CancelTasks as names, in order."""
        request = executor_pb2.CancelTasksRequest(tasks=[executor_pb2.TaskRef(id=i) for i in ids], **fields)
        results = self.call(self.executor.CancelTasks, request).results
        return [executor_pb2.CancelResult.Outcome.Name(r.outcome) for r in results]

    def list(self, **fields):
        """Every task that the filter's `fields` match, over all pages."""
        tasks, token = [], ""
        while True:
            request = executor_pb2.ListTasksRequest(filter=executor_pb2.TaskFilter(**fields), page_token=token, page_size=500)
            answer = self.call(self.executor.ListTasks, request)
            tasks += answer.tasks
            token = answer.next_page_token
            if not token:
                return tasks

    def events(self, owner, cursor=""):
        """The owner's events that there are now."""
        request = executor_pb2.WatchEventsRequest(owner=owner, cursor=cursor)
        stream = self.executor.WatchEvents(request, timeout=30 * SLOWNESS, wait_for_ready=True, metadata=self.metadata)
        return [event for batch in stream for event in batch.events]

    def ack(self, owner, cursor):
        self.call(self.executor.AckEvents, executor_pb2.AckEventsRequest(owner=owner, cursor=cursor))

    def log_pieces(self, task_id, stream="STDOUT", seconds=60, **fields):
        """Iterator over the answers of ReadLog."""
        request = executor_pb2.ReadLogRequest(id=task_id, stream=executor_pb2.ReadLogRequest.Stream.Value(stream), **fields)
        return self.executor.ReadLog(request, timeout=seconds * SLOWNESS, wait_for_ready=True, metadata=self.metadata)

    def log(self, task_id, stream="STDOUT", **fields):
        """All bytes that ReadLog gives."""
        return b"".join(piece.data for piece in self.log_pieces(task_id, stream, **fields))


class Subscriber:
    """Follows one owner's events in a thread and comes back by cursor after each break, as a scheduler does."""

    def __init__(self, client, owner):
        self._client, self._owner = client, owner
        self._stopped = threading.Event()
        self._call = None
        self.events = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        cursor = ""
        while not self._stopped.is_set():
            request = executor_pb2.WatchEventsRequest(owner=self._owner, cursor=cursor, follow=True)
            self._call = self._client.executor.WatchEvents(request, wait_for_ready=True, metadata=self._client.metadata)
            try:
                for batch in self._call:
                    for event in batch.events:
                        cursor = event.cursor
                        self.events.append(event)
            except grpc.RpcError:
                self._stopped.wait(0.05)

    def stop(self):
        self._stopped.set()
        if self._call:
            self._call.cancel()
        self._thread.join(10)
