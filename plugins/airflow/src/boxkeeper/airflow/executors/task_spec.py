"""From an Airflow workload to a submission. Pure: no Airflow, no gRPC, no clock."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

from boxkeeper.airflow.executors.config import Options

if TYPE_CHECKING:
    from boxkeeper.v1 import task_pb2

# Relative to the working directory, like the command that reads it. `workdir` may be one that other tasks have too.
_WORKLOAD_FILE = "airflow-workload-{submission_id}.json"
OVERRIDE_KEY = "sandbox_override"
TOKEN_VARIABLE = "AIRFLOW_WORKLOAD_TOKEN"
_PRIORITY_MAX = 1_000_000
_LABEL_MAX = 256
# Keys of a sandbox that the executor itself sets: a task must not.
_RESERVED = ("start_deadline",)
_KEYS: Mapping[str, tuple[type, ...]] = {
    "provider": (str, list), "profile": (str,), "image": (str,), "template": (str,), "cpu": (int, float), "memory_mb": (int,),
    "disk_mb": (int,), "gpu": (str, int), "pids": (int,), "env": (dict,), "workdir": (str,), "user": (str,), "timeout": (str,),
    "grace": (str,), "network": (str,), "read_only_root": (bool,), "volumes": (list,), "outputs": (list,), "stdin": (str,),
    "priority": (int,), "provider_options": (dict,), "log": (dict,),
}


class BadOverride(ValueError):
    """executor_config cannot be honoured: one line for each mistake."""


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to be run, whatever kind of workload it came from. Its repr shows no secret."""

    key: task_pb2.TaskKey
    submission_id: str
    payload: bytes = dataclasses.field(repr=False)  # the workload's JSON: secret
    command: Sequence[str]        # behind the interpreter; the workload's file comes last
    token: str = dataclasses.field(repr=False)      # of the execution API: secret; may be empty
    log_path: str
    priority: int
    executor_config: Any
    labels: Mapping[str, str]
    execution_timeout: Optional[float]  # seconds; None = none
    replace: bool                 # a task of this key was revoked: it must make way at once
    hide_token: bool              # the runner prints it: the daemon must overwrite it in the log


def make_task_spec(job: Job, options: Options, owner: str) -> task_pb2.TaskSpec:
    """The submission. BadOverride if the task's executor_config is wrong; the daemon checks the values."""
    from boxkeeper.v1 import task_pb2

    override = merge(options.overrides, task_override(job.executor_config))
    override.setdefault("priority", max(-_PRIORITY_MAX, min(job.priority, _PRIORITY_MAX)))
    override["env"] = {**options.env, **override.get("env", {})}
    deadline = start_deadline(job.token, options.start_margin)
    if deadline is not None:
        override["start_deadline"] = deadline
    if job.execution_timeout is not None and "timeout" not in override:
        override["timeout"] = f"{job.execution_timeout + options.success_overtime + options.timeout_margin:.3f}s"
    if options.layout == "airflow" and job.log_path:
        override["log"] = {**override.get("log", {}), "layout": "airflow", "path": job.log_path}
    spec = task_pb2.TaskSpec(
        submission_id=job.submission_id, key=job.key, owner=owner,
        on_live_key=task_pb2.ON_LIVE_KEY_REPLACE if job.replace else task_pb2.ON_LIVE_KEY_AFTER,
        labels={name: text[:_LABEL_MAX] for name, text in job.labels.items()})
    workload_file = _WORKLOAD_FILE.format(submission_id=job.submission_id)
    spec.command.argv.args.extend([options.python, *job.command, workload_file])
    spec.files.add(path=workload_file, content=job.payload, secret=True)
    spec.sandbox_override.update(override)
    if job.hide_token and job.token:
        # A secret of the task, so the daemon overwrites it in its output; the task can read it in the workload file anyway.
        spec.secrets[TOKEN_VARIABLE].value = job.token
    for name, value in options.secret_env.items():
        if name not in override["env"]:
            spec.secrets[name].value = value
    return spec


def task_override(executor_config: Any) -> dict[str, Any]:
    """The sandbox keys that a task asks for by executor_config={"sandbox_override": {...}}. BadOverride with every mistake."""
    if not executor_config:
        return {}
    if not isinstance(executor_config, Mapping):
        raise BadOverride(f"executor_config: a dict is wanted, not {type(executor_config).__name__}")
    override = executor_config.get(OVERRIDE_KEY)
    mistakes = [f"executor_config.{name}: not known; the only key is {OVERRIDE_KEY!r}"
                for name in executor_config if name not in (OVERRIDE_KEY, "pod_override")]
    if override is not None and not isinstance(override, Mapping):
        mistakes.append(f"executor_config.{OVERRIDE_KEY}: a dict is wanted, not {type(override).__name__}")
        override = None
    for name, value in (override or {}).items():
        mistakes += _wrong(f"executor_config.{OVERRIDE_KEY}.{name}", str(name), value)
    if mistakes:
        raise BadOverride("\n".join(mistakes))
    return {str(name): _plain(value) for name, value in (override or {}).items()}


def _wrong(path: str, name: str, value: Any) -> list[str]:
    """What is wrong with one key by itself. The daemon knows the rest: ranges, names of providers, what each can do."""
    if name in _RESERVED:
        return [f"{path}: set by the executor"]
    types = _KEYS.get(name)
    if types is None:
        near = _nearest(name)
        return [f"{path}: not known{near}; known: {', '.join(sorted(_KEYS))}"]
    if isinstance(value, bool) and bool not in types or not isinstance(value, (*types, *((tuple,) if list in types else ()))):
        return [f"{path}: {' or '.join(kind.__name__ for kind in types)} is wanted, not {type(value).__name__}"]
    if name == "env" and isinstance(value, Mapping):
        return [f"{path}.{key}: a text is wanted, not {type(text).__name__}" for key, text in value.items()
                if not isinstance(text, str)]
    return []


def _nearest(name: str) -> str:
    import difflib

    found = difflib.get_close_matches(name, _KEYS, 1)
    return f", did you mean {found[0]!r}?" if found else ""


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` on `below` as the daemon merges layers: `env`, `provider_options` and `log` key by key, the rest whole."""
    merged = dict(below)
    for name, value in above.items():
        if name in ("env", "provider_options", "log") and isinstance(value, dict) and isinstance(merged.get(name), Mapping):
            merged[name] = {**merged[name], **value}
        else:
            merged[name] = value
    return merged


def start_deadline(token: str, margin: float) -> Optional[str]:
    """RFC 3339: `margin` seconds before the token expires; None if it says nothing. The token is not verified: it is only
    asked when there is no use in starting any more."""
    expiry = token_expiry(token)
    if expiry is None:
        return None
    moment = datetime.datetime.fromtimestamp(max(0.0, expiry - margin), datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def token_expiry(token: str) -> Optional[float]:
    """`exp` of a JWT in Unix seconds; None if it has none, or is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        return None
