"""The Python client of Boxkeeper: `Client` for ordinary code, `AsyncClient` for asyncio.

    from boxkeeper.client import Client, ConnectionSettings, keys, specs

    with Client(ConnectionSettings("127.0.0.1:7433")) as client:
        spec = specs.make_spec(keys.make_key("hello"), shell="echo hello")
        [task] = client.wait([client.submit(spec).id], until="LOG_COMPLETE")

Importing this package does not import gRPC; making a client does. docs/python-client.md
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from boxkeeper.client.errors import (
    AlreadyLive,
    BoxkeeperError,
    Busy,
    CursorGone,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidRequest,
    InvalidSettings,
    NotFound,
    QueueFull,
    Rejected,
    RpcFailed,
    SubmitFailed,
    Unauthenticated,
    Unavailable,
    Violation,
    WaitTimeout,
)
from boxkeeper.client.settings import DEFAULT_ADDRESS, ConnectionSettings

if TYPE_CHECKING:
    from boxkeeper.client import keys, names, specs
    from boxkeeper.client._operations import task_filter
    from boxkeeper.client._streams import Blob
    from boxkeeper.client.aio import AsyncClient, AsyncStream
    from boxkeeper.client.sync import Client, Stream

# What needs gRPC or protobuf comes with its first use: schedulers import this package in places where it must be cheap.
_LAZY = {
    "AsyncClient": "boxkeeper.client.aio",
    "AsyncStream": "boxkeeper.client.aio",
    "Blob": "boxkeeper.client._streams",
    "Client": "boxkeeper.client.sync",
    "Stream": "boxkeeper.client.sync",
    "task_filter": "boxkeeper.client._operations",
}
_MODULES = ("keys", "names", "specs")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"boxkeeper.client.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "DEFAULT_ADDRESS", "AlreadyLive", "AsyncClient", "AsyncStream", "Blob", "BoxkeeperError", "Busy", "Client",
    "ConnectionSettings", "CursorGone", "DeadlineExceeded", "FailedPrecondition", "InvalidRequest", "InvalidSettings",
    "NotFound", "QueueFull", "Rejected", "RpcFailed", "Stream", "SubmitFailed", "Unauthenticated", "Unavailable",
    "Violation", "WaitTimeout", "keys", "names", "specs", "task_filter",
]
