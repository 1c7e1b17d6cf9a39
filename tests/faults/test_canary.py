"""I14 over everything that the daemon says: the value of a secret is in nothing that it shows or writes, in good times and bad.

In processes and core files: tests/e2e/test_secrets.py; in files at each moment of a crash: every test of test_failpoints.py."""

import os

from tests.faults.world import CANARY, OWNER
from tests.harness.client import spec
from tests.harness.daemon import Daemon
from tests.harness.gate import Gate
from tests.harness.stubs import admin_pb2, executor_pb2
from tests.harness.waiting import until

_COMMANDS = [["ls", "-o", "wide"], ["ls", "-o", "json"], ["ls", "-o", "yaml"], ["events"], ["status", "-o", "json"], ["sandboxes", "-o", "json"],
             ["providers", "-o", "json"], ["orphans", "-o", "json"], ["doctor"], ["get", "-o", "yaml"], ["describe"], ["logs"], ["wait", "--timeout", "1s"]]
_OF_A_TASK = {"get", "describe", "logs", "wait"}


def _with_secret(**fields):
    item = spec(owner=OWNER, **fields)
    item.secrets["TOKEN"].value = CANARY
    item.files.add(path="key", content=CANARY.encode(), secret=True)
    return item


def _everything_said(daemon, ids):
    """(what, bytes) of all that the daemon shows to anybody."""
    for path in ("/metrics", "/readyz", "/healthz", "/"):
        yield path, daemon.http(path)[1].encode()
    for command in _COMMANDS:
        for task_id in ids if command[0] in _OF_A_TASK else [None]:
            done = daemon.boxctl(*command, *([task_id] if task_id else []))
            yield " ".join(command), done.stdout + done.stderr
    for event in daemon.client.events(OWNER, "c0"):
        yield "event", event.SerializeToString()
    for task_id in ids:
        yield "task", daemon.client.get(task_id).SerializeToString()
        yield "stderr", daemon.client.log(task_id, "STDERR")


def _files(folder):
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    yield path, file.read()


def _assert_not_told(said, allowed=()):
    told = [what for what, data in said if CANARY.encode() in data and not what.endswith(tuple(allowed))]
    assert not told, told


def test_nothing_that_the_daemon_shows_or_writes_has_the_value():
    with Daemon({"log": {"level": "debug"}}) as daemon:
        client, gate = daemon.start().client, Gate(daemon.folder)
        ids = [client.submit(_with_secret(shell=f'echo "$TOKEN"; cat key >&2; {gate.wait}')),  # prints it: redacted where it is read
               client.submit(_with_secret(argv=["/no/such/program"])),
               client.submit(_with_secret(shell="exit 3")),
               client.submit(_with_secret(shell="kill -9 $$"))]
        client.wait_running(ids[0])
        client.wait_all(ids[1:], executor_pb2.WaitTaskRequest.LOG_COMPLETE)
        # Refused in every way there is.
        again = _with_secret(shell="exit 3")
        client.submit(again)
        again.secrets["TOKEN"].value = CANARY + "-other"
        refused = client.submit_all([_with_secret(shell="true", override={"no_such_key": CANARY}), again, _with_secret(argv=[])])
        # What stands in the specification itself is no secret: only those that were given as such.
        _assert_not_told([("refusal", str(refused[1]).encode()), ("refusal", str(refused[2]).encode())])
        _assert_not_told(_everything_said(daemon, ids))
        # The key is in the sandbox while it lives, and the raw spool is what the task itself printed.
        _assert_not_told(_files(daemon.folder), allowed=("/key", "/stdout", "/stderr"))
        daemon.restart()
        _assert_not_told(_everything_said(daemon, ids))
        gate.open()
        client.wait_all(ids, executor_pb2.WaitTaskRequest.LOG_COMPLETE)
        _assert_not_told(_everything_said(daemon, ids))
        until(lambda: not client.call(client.admin.ListSandboxes, admin_pb2.ListSandboxesRequest()).sandboxes, "no sandbox left")
        # Once the log is stored the spool is redacted too.
        _assert_not_told(_files(daemon.folder))
        assert daemon.terminate() == 0
        _assert_not_told(_files(daemon.folder))
