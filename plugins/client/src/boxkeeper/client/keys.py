"""A task's key: making one, and its one string form, namespace/KIND/group/run/name/index/try.

The same codec as the daemon's (base/task_key.cc): two keys are the same key if and only if their strings are.
"""

from __future__ import annotations

import re
from typing import Optional
from urllib.parse import quote_from_bytes, unquote_to_bytes

from boxkeeper.client.errors import InvalidSettings
from boxkeeper.client.names import Name, enum_value
from boxkeeper.v1 import task_pb2

_DEFAULT_NAMESPACE = "default"
_PARTS = ("namespace", "kind", "group", "run", "name", "index", "try")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_INTEGER = re.compile(r"-?[0-9]+")
_INT32_MAX = 2**31 - 1


def make_key(name: str, *, namespace: str = "", kind: Name = "COMMAND", group: str = "", run: str = "",
             index: Optional[int] = None, try_number: int = 1) -> task_pb2.TaskKey:
    """A key. `kind` is TASK, CALLBACK, STEP or COMMAND; `index` None or below 0 means unmapped."""
    key = task_pb2.TaskKey(namespace=namespace, kind=enum_value(task_pb2.TaskKey.Kind, kind), group=group, run=run, name=name)
    if index is not None and index >= 0:
        key.index = index
    setattr(key, "try", try_number)
    return key


def try_number(key: task_pb2.TaskKey) -> int:
    """The scheduler's try number of a key, from 1 (`try` is a word of Python's)."""
    return getattr(key, "try") or 1


def percent_encode(text: str) -> str:
    """Every byte outside [A-Za-z0-9._~-] as %XX; "." and ".." as %2E and %2E%2E."""
    if text in (".", ".."):
        return text.replace(".", "%2E")
    return quote_from_bytes(text.encode("utf-8"), safe="")


def key_prefix(*, namespace: str = "", kind: Name = "COMMAND", group: Optional[str] = None, run: Optional[str] = None,
               name: Optional[str] = None, index: Optional[int] = None) -> str:
    """The beginning that the strings of all keys with these parts share: a task_filter's `key_prefix`.

    Parts are taken from the left up to the first that is None; so `group` and `run` name one DAG run and no other.
    `index` counts only after a name; -1 = unmapped.
    """
    kind_name = task_pb2.TaskKey.Kind.Name(enum_value(task_pb2.TaskKey.Kind, kind) or task_pb2.TaskKey.COMMAND)
    text = percent_encode(namespace or _DEFAULT_NAMESPACE) + "/" + kind_name + "/"
    for part in (group, run, name, None if index is None else str(index)):
        if part is None:
            break
        text += percent_encode(part) + "/"
    return text


def key_string(key: task_pb2.TaskKey) -> str:
    """The string form of the key, with the defaults filled in."""
    kind = key.kind or task_pb2.TaskKey.COMMAND
    known = kind in task_pb2.TaskKey.Kind.values()
    parts = (percent_encode(key.namespace or _DEFAULT_NAMESPACE),
             task_pb2.TaskKey.Kind.Name(kind) if known else str(kind),
             percent_encode(key.group), percent_encode(key.run), percent_encode(key.name),
             str(key.index if key.HasField("index") else -1), str(try_number(key)))
    return "/".join(parts)


def parse_key(text: str) -> task_pb2.TaskKey:
    """The inverse, with the defaults filled in. InvalidSettings says which part is wrong, and how."""
    raw = text.split("/")
    if len(raw) != len(_PARTS):
        raise InvalidSettings(f"key: has {len(raw)} parts, must have 7: {'/'.join(_PARTS)}, each percent-encoded")
    parts = {name: _decode(name, part) for name, part in zip(_PARTS, raw)}
    kind = parts["kind"] or "COMMAND"
    if kind not in ("TASK", "CALLBACK", "STEP", "COMMAND"):
        raise InvalidSettings("key: kind: must be TASK, CALLBACK, STEP or COMMAND")
    key = task_pb2.TaskKey(namespace=parts["namespace"] or _DEFAULT_NAMESPACE, kind=task_pb2.TaskKey.Kind.Value(kind),
                           group=parts["group"], run=parts["run"], name=parts["name"],
                           index=_number("index", parts["index"], -1, -1))
    setattr(key, "try", _number("try", parts["try"], 1, 0) or 1)
    return key


def _decode(part: str, text: str) -> str:
    if _BAD_PERCENT.search(text):
        raise InvalidSettings(f"key: {part}: '%' must be followed by two hex digits")
    try:
        decoded = unquote_to_bytes(text).decode("utf-8")
    except UnicodeError:
        raise InvalidSettings(f"key: {part}: not UTF-8") from None
    if "\0" in decoded:
        raise InvalidSettings(f"key: {part}: contains NUL")
    return decoded


def _number(part: str, text: str, if_empty: int, least: int) -> int:
    if not text:
        return if_empty
    if not _INTEGER.fullmatch(text) or not least <= int(text) <= _INT32_MAX:
        raise InvalidSettings(f"key: {part}: must be an integer of at least {least}")
    return int(text)
