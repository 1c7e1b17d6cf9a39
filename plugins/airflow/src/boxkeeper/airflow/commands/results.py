"""What a command hands on: its last line or a file as XCom, and the files it left behind."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from boxkeeper.airflow.commands.compat import AirflowException

if TYPE_CHECKING:
    from boxkeeper.client import Client
    from boxkeeper.v1 import task_pb2

FORMATS = ("auto", "json", "text")


class BadResult(AirflowException):
    """The command succeeded, but what it should hand on is not there, too large, or no JSON."""


def artifacts_of(client: Client, task: task_pb2.Task) -> list[task_pb2.Artifact]:
    """What the daemon collected of a task that ended."""
    return list(client.list_artifacts(id=task.id).artifacts)


def read_bounded(client: Client, task: task_pb2.Task, path: str, max_bytes: int, what: str) -> bytes:
    """The bytes of one output. BadResult if there is none of that path, or it is larger than `max_bytes`."""
    found = next((artifact for artifact in artifacts_of(client, task) if artifact.path == path), None)
    if found is None:
        why = f" ({task.outputs.message})" if task.outputs.message else ""
        raise BadResult(f"{what} {path!r} is not among the outputs of the command{why}")
    if found.size > max_bytes:
        raise BadResult(f"{what} {path!r} has {found.size} bytes, more than {max_bytes} (xcom_max_bytes): too large for an XCom")
    return b"".join(client.read_artifact(path, id=task.id))


def parse(path: str, content: str, form: str) -> Any:
    """A file's content as an XCom value: "json", "text", or "auto": JSON if the name ends in .json. BadResult if it is none."""
    if form == "text" or (form == "auto" and not path.endswith(".json")):
        return content
    try:
        return json.loads(content)
    except ValueError as error:
        raise BadResult(f"{path!r} is no JSON: {error}") from None


def reference(task: task_pb2.Task, artifact: task_pb2.Artifact) -> dict[str, Any]:
    """One output as it stands in the XCom `outputs`: enough to read it from the daemon, by read_output."""
    return {"task_id": task.id, "path": artifact.path, "size": artifact.size, "sha256": artifact.sha256}


def read_output(client: Client, output: dict[str, Any]) -> bytes:
    """The bytes of an entry of the XCom `outputs`, while the daemon keeps the task."""
    return b"".join(client.read_artifact(output["path"], id=output["task_id"]))


def download(client: Client, task: task_pb2.Task, artifacts: list[task_pb2.Artifact], folder: str) -> dict[str, str]:
    """Writes outputs below `folder`, under their own paths; absolute ones below `folder`/_absolute. Local path by output path.

    Paths come from the sandbox and are not trusted: none leaves the folder, and no link in it is followed.
    """
    local = {}
    for artifact in artifacts:
        target = _target(folder, artifact.path)
        partial = target + ".partial"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)
        with open(descriptor, "wb") as file:
            for piece in client.read_artifact(artifact.path, id=task.id):
                file.write(piece)
        os.replace(partial, target)
        local[artifact.path] = target
    return local


def _target(folder: str, path: str) -> str:
    """Where an output goes; its folders are there afterwards. BadResult for a path that would leave `folder`."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise BadResult(f"output {path!r} has no path that can be written below {folder!r}")
    if path.startswith("/"):
        parts.insert(0, "_absolute")
    below = os.path.realpath(folder)
    os.makedirs(below, exist_ok=True)
    for part in parts[:-1]:
        below = os.path.join(below, part)
        if os.path.islink(below):
            raise BadResult(f"output {path!r}: {below!r} is a link, which is not followed")
        os.makedirs(below, exist_ok=True)
    return os.path.join(below, parts[-1])
