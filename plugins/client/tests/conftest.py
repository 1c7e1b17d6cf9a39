"""What the client's tests share: a fake daemon in this process, a real one, and both kinds of client behind one face."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src"))

# First: it brings google.rpc, of which Debian has no package. boxkeeper.v1 is the committed one all the same, as only that is
# a package with an __init__.
from tests.harness.daemon import Daemon  # noqa: E402  isort: skip

import driven  # noqa: E402
import fake_server  # noqa: E402
import pytest  # noqa: E402

from boxkeeper.client import ConnectionSettings  # noqa: E402


@pytest.fixture
def fake():
    """A fake daemon on a unix socket; answers nothing until a test gives it an answer."""
    with fake_server.FakeServer() as server:
        yield server


@pytest.fixture(params=["sync", "asyncio"])
def connect(request):
    """A function from settings to a client of either kind, to be used without await."""
    clients = []

    def make(settings):
        clients.append(driven.make(request.param, settings))
        return clients[-1]

    yield make
    for client in clients:
        getattr(client, "finish", client.close)()


@pytest.fixture
def client(fake, connect):
    """A client of either kind, of the fake daemon."""
    return connect(ConnectionSettings(fake.address, timeout=5, reconnect_timeout=5))


@pytest.fixture(scope="session")
def shared():
    """A real daemon for tests that disturb nobody."""
    with Daemon() as running:
        yield running.start()


@pytest.fixture
def real(shared, connect):
    """A client of either kind, of the real daemon."""
    return connect(ConnectionSettings(f"unix:{shared.socket}", timeout=30))
