"""From what an operator was given to one submission."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

from boxkeeper.airflow.commands.files import FileBuilder, FileSource
from boxkeeper.airflow.commands.secrets import SecretResolver, SecretSource

if TYPE_CHECKING:
    from boxkeeper.airflow.commands.identity import Execution
    from boxkeeper.client import Client
    from boxkeeper.v1 import task_pb2

DIGEST_LABEL = "airflow.command_digest"
_LABEL_BYTES_MAX = 256
Timeout = Union[str, int, float, datetime.timedelta]


def duration(value: Timeout) -> str:
    """As the daemon reads it: a text as it is, else seconds with milliseconds."""
    if isinstance(value, str):
        return value
    seconds = value.total_seconds() if isinstance(value, datetime.timedelta) else float(value)
    return f"{round(seconds * 1000)}ms"


@dataclasses.dataclass
class CommandOptions:
    """One command, its templates filled in. Exactly one of argv, shell and script. `override` is the whole sandbox_override."""

    argv: Optional[Sequence[str]] = None
    shell: Optional[str] = None
    script: Optional[str] = None
    lang: str = ""
    override: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    files: Mapping[str, FileSource] = dataclasses.field(default_factory=dict)
    secrets: Mapping[str, SecretSource] = dataclasses.field(default_factory=dict, repr=False)
    secret_files: Mapping[str, SecretSource] = dataclasses.field(default_factory=dict, repr=False)
    files_folder: str = ""
    lease: float = 0.0


def build(client: Client, execution: Execution, options: CommandOptions, resolver: SecretResolver) -> task_pb2.TaskSpec:
    """The submission of this try. Large files are at the daemon when it returns. Never print it: it holds secrets."""
    from boxkeeper.client import specs
    from boxkeeper.v1 import task_pb2

    builder = FileBuilder(client, options.files_folder)
    files = [builder.build(path, source) for path, source in options.files.items()]
    for path, source in options.secret_files.items():
        content = resolver.value(path, source).encode("utf-8")
        files.append(task_pb2.TaskFile(path=path, content=content, secret=True))
    secrets = {name: _secret(name, source, resolver) for name, source in options.secrets.items()}
    spec = specs.make_spec(execution.key(), argv=options.argv, shell=options.shell, script=options.script, lang=options.lang,
                           override=options.override, files=files, secrets=secrets, lease_ttl=options.lease, cancel_on_lapse=True,
                           submission_id=execution.submission_id,
                           on_live_key="AFTER")  # what runs under this key was stopped before, and may not be gone yet
    spec.labels.update(_labels(execution))
    spec.labels[DIGEST_LABEL] = digest(spec)
    return spec


def digest(spec: task_pb2.TaskSpec) -> str:
    """SHA-256 of what the command is: two tries with the same digest would run the same. Without the values of secrets, so that
    nothing can be learned from it and a new password is no new command."""
    from google.protobuf import json_format

    from boxkeeper.v1 import task_pb2

    content = task_pb2.TaskSpec(command=spec.command, sandbox_override=spec.sandbox_override)
    for file in spec.files:
        content.files.append(file)
        if file.secret:
            content.files[-1].ClearField("content")
    for name, secret in spec.secrets.items():
        content.secrets[name].CopyFrom(secret)
        if secret.WhichOneof("source") == "value":
            content.secrets[name].value = ""
    text = json.dumps(json_format.MessageToDict(content), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _secret(name: str, source: SecretSource, resolver: SecretResolver) -> task_pb2.Secret:
    from boxkeeper.v1 import task_pb2

    kind, reference = resolver.reference(source)
    if kind == "env":
        return task_pb2.Secret(env=reference)
    if kind == "file":
        return task_pb2.Secret(file=reference)
    return task_pb2.Secret(value=resolver.value(name, source))


def _labels(execution: Execution) -> dict[str, str]:
    labels = {"airflow.dag_id": execution.dag_id, "airflow.run_id": execution.run_id, "airflow.task_id": execution.task_id}
    return {key: value for key, value in labels.items() if len(value.encode("utf-8")) <= _LABEL_BYTES_MAX}
