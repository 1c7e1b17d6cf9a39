"""Complete submissions from Python values.

A TaskSpec is a message and prints all that it holds, secrets too: never log one.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional, Union

from boxkeeper.client.errors import InvalidSettings
from boxkeeper.client.names import Name, enum_value
from boxkeeper.v1 import task_pb2


def make_spec(key: task_pb2.TaskKey, *, argv: Optional[Sequence[Union[str, bytes]]] = None, shell: Optional[str] = None,
              script: Optional[str] = None, lang: str = "", owner: str = "", override: Optional[Mapping[str, Any]] = None,
              files: Iterable[task_pb2.TaskFile] = (), secrets: Optional[Mapping[str, Union[str, task_pb2.Secret]]] = None,
              labels: Optional[Mapping[str, str]] = None, on_live_key: Name = "REJECT", lease_ttl: Optional[float] = None,
              cancel_on_lapse: bool = False, trace_context: str = "", submission_id: Optional[str] = None) -> task_pb2.TaskSpec:
    """A submission of one command: exactly one of `argv`, `shell` (run as /bin/sh -c) and `script` (of `lang`: sh, bash or
    python).

    `override` is what the command line calls a sandbox's keys (docs/configuration.md): {"provider": ..., "image": ...,
    "env": {...}, "timeout": "5m", ...}; the daemon checks it. `secrets` are environment variables of the command only.
    `on_live_key` is REJECT, AFTER or REPLACE. `lease_ttl` in seconds: the task wants renew_lease or an open event stream
    that often. `submission_id` defaults to a new one: keep it, where the submission must survive a crash of the client.
    """
    if sum(form is not None for form in (argv, shell, script)) != 1:
        raise InvalidSettings("give exactly one of argv, shell and script")
    spec = task_pb2.TaskSpec(submission_id=submission_id or str(uuid.uuid4()), key=key, owner=owner, files=files,
                             labels=dict(labels or {}), trace_context=trace_context,
                             on_live_key=enum_value(task_pb2.OnLiveKey, on_live_key, "ON_LIVE_KEY_"))
    if argv is not None:
        spec.command.argv.args.extend(a.decode("utf-8") if isinstance(a, bytes) else a for a in argv)
    elif shell is not None:
        spec.command.shell = shell
    else:
        spec.command.script.lang = lang
        spec.command.script.body = script or ""
    if override:
        spec.sandbox_override.update(_plain(override))
    for name, value in (secrets or {}).items():
        spec.secrets[name].CopyFrom(task_pb2.Secret(value=value) if isinstance(value, str) else value)
    if lease_ttl is not None:
        spec.lease.ttl.FromMilliseconds(int(lease_ttl * 1000))
        spec.lease.on_lapse = task_pb2.Lease.CANCEL if cancel_on_lapse else task_pb2.Lease.KEEP
    return spec


def make_file(path: str, content: Union[str, bytes] = b"", *, blob: str = "", mode: int = 0,
              secret: bool = False) -> task_pb2.TaskFile:
    """A file put into the sandbox before the command starts; `path` absolute or relative to the working directory. `blob` is
    the SHA-256 that put_blob gave, instead of content. A secret one is sealed in the store and never shown again."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    return task_pb2.TaskFile(path=path, content=data, blob=blob, mode=mode, secret=secret)


def _plain(value: Any) -> Any:
    """What google.protobuf.Struct takes: tuples become lists, mappings dicts."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
