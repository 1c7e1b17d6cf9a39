"""Files that are put into the sandbox before the command starts: templated text, bytes, or files of the worker."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Union

from boxkeeper.airflow.commands.compat import AirflowFailException

if TYPE_CHECKING:
    from boxkeeper.client import Client
    from boxkeeper.v1 import task_pb2

# Text, bytes, a path of the worker (os.PathLike), or {"content": ..., "mode": 0o755} or {"local": PATH, "mode": ...}.
FileSource = Union[str, bytes, "os.PathLike[str]", Mapping[str, Any]]
INLINE_FILE_BYTES = 64 * 1024   # a larger one travels by PutBlob
INLINE_TOTAL_BYTES = 512 * 1024  # of all files of one command; a submission takes 1 MiB in all


def check_file(path: str, source: Any) -> None:
    """ValueError if `source` is no FileSource."""
    if isinstance(source, (str, bytes, os.PathLike)):
        return
    if isinstance(source, Mapping) and ("content" in source) != ("local" in source) and set(source) <= {"content", "local", "mode"}:
        return
    raise ValueError(f"files[{path!r}]: text, bytes, a path, or a map with content or local, and mode")


def texts_with_newline(files: Any) -> frozenset[str]:
    """The paths of texts that end with a newline, which Jinja takes off when it fills in a template."""
    if not isinstance(files, Mapping):
        return frozenset()
    texts = {path: source.get("content") if isinstance(source, Mapping) else source for path, source in files.items()}
    return frozenset(path for path, text in texts.items() if isinstance(text, str) and text.endswith("\n"))


def restore_newlines(files: Mapping[str, FileSource], paths: Collection[str]) -> dict[str, FileSource]:
    """`files`, their templates filled in, with the newline back at the end of the texts at `paths`."""
    restored = dict(files)
    for path in paths:
        source = restored.get(path)
        if isinstance(source, str) and not source.endswith("\n"):
            restored[path] = source + "\n"
        elif isinstance(source, Mapping) and isinstance(source.get("content"), str) and not source["content"].endswith("\n"):
            restored[path] = {**source, "content": source["content"] + "\n"}
    return restored


class FileBuilder:
    """Makes the TaskFiles of one submission. `folder`: what relative local paths count from."""

    def __init__(self, client: Client, folder: str) -> None:
        self._client = client
        self._folder = folder
        self._inline_left = INLINE_TOTAL_BYTES

    def build(self, path: str, source: FileSource) -> task_pb2.TaskFile:
        """One file; what is large is stored at the daemon first. AirflowFailException if a local file cannot be read."""
        mode = 0
        if isinstance(source, Mapping):
            mode = int(source.get("mode") or 0)
            source = source["content"] if "content" in source else _Local(source["local"])
        if isinstance(source, os.PathLike):
            return self._from_disk(path, os.path.join(self._folder, os.fspath(source)), mode)
        content = source if isinstance(source, bytes) else str(source).encode("utf-8")
        return self._from_bytes(path, content, mode)

    def _from_disk(self, path: str, local: str, mode: int) -> task_pb2.TaskFile:
        from boxkeeper.v1 import task_pb2

        try:
            size = os.path.getsize(local)
            mode = mode or os.stat(local).st_mode & 0o777
            if self._fits(size):
                with open(local, "rb") as file:
                    return self._from_bytes(path, file.read(), mode)
            with open(local, "rb"):
                pass  # the error of a file that cannot be read is ours to word
        except OSError as error:
            raise AirflowFailException(f"files[{path!r}]: cannot read {local!r}: {error.strerror}") from None
        return task_pb2.TaskFile(path=path, blob=_sha256_of(self._client.put_blob(local)), mode=mode)

    def _from_bytes(self, path: str, content: bytes, mode: int) -> task_pb2.TaskFile:
        from boxkeeper.v1 import task_pb2

        if self._fits(len(content)):
            self._inline_left -= len(content)
            return task_pb2.TaskFile(path=path, content=content, mode=mode)
        return task_pb2.TaskFile(path=path, blob=_sha256_of(self._client.put_blob(content)), mode=mode)

    def _fits(self, size: int) -> bool:
        return size <= min(INLINE_FILE_BYTES, self._inline_left)


class _Local(os.PathLike):  # type: ignore[type-arg]
    """A path that came as a text of a map, where a plain text would be content."""

    def __init__(self, path: Any) -> None:
        self._path = os.fspath(path)

    def __fspath__(self) -> str:
        return self._path


def _sha256_of(stored: Any) -> str:
    return stored if isinstance(stored, str) else str(stored.sha256)
