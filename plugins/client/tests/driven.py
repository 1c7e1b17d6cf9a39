"""An AsyncClient that can be used like a Client, so that each test is written once for both."""

import asyncio
import inspect

from boxkeeper.client import AsyncClient, Client


def make(kind, settings):
    """A client: "sync" or "asyncio"."""
    return Client(settings) if kind == "sync" else DrivenClient(settings)


class DrivenClient:
    """Runs an event loop of its own as long as each call takes."""

    def __init__(self, settings):
        self._loop = asyncio.new_event_loop()

        async def open_inside_the_loop():
            return AsyncClient(settings)

        self._client = self.run(open_inside_the_loop())
        self.settings = settings

    def run(self, coroutine):
        return self._loop.run_until_complete(coroutine)

    def close(self):
        self.run(self._client.close())

    def finish(self):
        self.close()
        self._loop.close()

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def call(*arguments, **options):
            result = method(*arguments, **options)
            if inspect.iscoroutine(result):
                return self.run(result)
            return DrivenIterator(self, result)

        return call


class DrivenIterator:
    """An async iterator as an iterator."""

    def __init__(self, client, iterator):
        self._client, self._iterator = client, iterator

    def __iter__(self):
        return self

    def __next__(self):
        async def step():
            return await self._iterator.__anext__()

        try:
            return self._client.run(step())
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self):
        self._iterator.close()

    @property
    def cursor(self):
        return self._iterator.cursor
