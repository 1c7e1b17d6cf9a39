"""One connection for all triggers of a triggerer that wait at the same daemon."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from boxkeeper.client import AsyncClient, ConnectionSettings


class _Shared:
    """A client and how many use it."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self.users = 0


# gRPC's asyncio clients belong to their event loop.
_of_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[ConnectionSettings, _Shared]] = weakref.WeakKeyDictionary()


@contextlib.asynccontextmanager
async def shared_client(settings: ConnectionSettings) -> AsyncIterator[AsyncClient]:
    """The event loop's client of these settings: made by the first who comes, closed by the last who leaves."""
    from boxkeeper.client import AsyncClient

    clients = _of_loops.setdefault(asyncio.get_running_loop(), {})
    if settings not in clients:
        clients[settings] = _Shared(AsyncClient(settings))
    shared = clients[settings]
    shared.users += 1
    try:
        yield shared.client
    finally:
        shared.users -= 1
        if not shared.users:
            del clients[settings]
            await shared.client.close()
