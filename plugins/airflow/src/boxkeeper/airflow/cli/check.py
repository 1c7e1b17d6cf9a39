"""`airflow boxkeeper check`: whether what SandboxExecutor is configured with works, told before the first task."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from boxkeeper.airflow.executors.config import BadOptions, Options, read_options
from boxkeeper.airflow.executors.task_spec import Job, make_task_spec

if TYPE_CHECKING:
    from boxkeeper.client import Client
    from boxkeeper.v1 import task_pb2

_SECONDS = 120.0  # for the sandbox
# What runs in the sandbox. Its last line is the answer.
_PROBE = """
import os, sys, urllib.request
import airflow
print("airflow", airflow.__version__, "python", sys.version.split()[0])
url = os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].rstrip("/") + "/health"
try:
    urllib.request.urlopen(url, timeout=10).read()
except Exception as error:
    sys.exit("the execution API cannot be reached from the sandbox: %s: %s" % (url, error))
"""


class _Failed(Exception):
    """A check failed; its text says what to do."""


def check(args: Any) -> None:
    """The command. SystemExit with the first thing that does not work."""
    from airflow.configuration import conf

    from boxkeeper.client import BoxkeeperError, Client, ConnectionSettings

    try:
        options = read_options(conf)
        with Client(ConnectionSettings(**options.connection)) as client:
            _daemon(client, options)
            if args.validate_only:
                _validate(client, options)
            else:
                _run(client, options)
    except (BadOptions, BoxkeeperError, _Failed) as error:
        raise SystemExit(f"boxkeeper check failed: {error}") from None


def _say(what: str, text: str) -> None:
    print(f"{what:<10} {text}")


def _daemon(client: Client, options: Options) -> None:
    status, capacity = client.get_status(), client.get_capacity()
    _say("daemon", f"{options.address}: boxkeeperd {status.version}, deployment {status.deployment_id}")
    if not status.ready:
        raise _Failed(f"the daemon is not ready: {'; '.join(status.not_ready_because)}")
    if not capacity.accepting:
        raise _Failed("the daemon takes no new tasks: it drains, stops, or its store is full")
    providers = ", ".join(f"{p.name} ({p.running} of {p.max_running or 'any number'} running)" for p in capacity.providers)
    _say("room", f"{capacity.running} of {capacity.max_running} running; providers: {providers}")


def _probe(options: Options) -> task_pb2.TaskSpec:
    """A submission as the executor makes it, but for the command; nothing in it is secret but `secret_env`."""
    from boxkeeper.client import keys

    unique = str(uuid.uuid4())
    key = keys.make_key("check", namespace=options.namespace, group="airflow boxkeeper check", run=unique)
    job = Job(key=key, submission_id=unique, payload=b"", command=["-c", _PROBE], token="", log_path="", priority=0,
              executor_config=None, labels={}, execution_timeout=_SECONDS, replace=False, hide_token=False)
    spec = make_task_spec(job, options, owner="")
    del spec.files[:]
    return spec


def _validate(client: Client, options: Options) -> None:
    [result] = client.submit_tasks([_probe(options)], validate_only=True)
    if result.violations:
        raise _Failed("the daemon would refuse tasks:\n" + "\n".join(f"  {v.field}: {v.description}" for v in result.violations))
    _say("task", f"the daemon would run it at provider {', '.join(result.spec.provider)}")


def _run(client: Client, options: Options) -> None:
    from airflow import __version__

    from boxkeeper.client import WaitTimeout, names

    accepted = client.submit(_probe(options))
    try:
        [task] = client.wait([accepted.id], until="LOG_COMPLETE", timeout=_SECONDS)
    except WaitTimeout as late:
        client.cancel_tasks([accepted.id], reason="airflow boxkeeper check: timeout")
        [task] = late.tasks
        raise _Failed(f"task {accepted.id} is {names.state_name(task.state)} after {_SECONDS:.0f} s"
                      f"{': ' + task.waiting_for if task.waiting_for else ''}; cancelled") from None
    _say("sandbox", f"provider {task.sandbox.provider}, task {task.id}: {names.describe_end(task)}")
    if not names.succeeded(task):
        raise _Failed(f"what the sandbox said:\n{_output(client, task.id, 'STDERR') or _output(client, task.id, 'STDOUT') or '(nothing)'}")
    versions = _output(client, task.id, "STDOUT").splitlines()[-1]
    same = versions.startswith(f"airflow {__version__} ")
    _say("inside", versions + ("" if same else f"; here it is {__version__}: they should be the same"))
    _say("api", f"{options.env['AIRFLOW__CORE__EXECUTION_API_SERVER_URL']} answers the sandbox")


def _output(client: Client, task_id: str, stream: str) -> str:
    """The last lines of what the task printed."""
    data = b"".join(chunk.data for chunk in client.read_log(task_id, stream, tail_lines=20, timeout=10))
    return data.decode("utf-8", "replace").strip()
