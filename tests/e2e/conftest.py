"""Fixtures of the end-to-end tests."""

import pytest

from tests.harness.abilities import why_no_bubblewrap
from tests.harness.daemon import Daemon


@pytest.fixture
def daemon():
    """A running daemon with the base configuration; removed with everything it started."""
    with Daemon() as running:
        yield running.start()


@pytest.fixture(scope="module")
def shared():
    """A running daemon shared by the tests of one file: for tests that disturb nobody."""
    with Daemon() as running:
        yield running.start()


@pytest.fixture(scope="module", params=["none", "bubblewrap"])
def isolated(request):
    """A daemon for each isolation, shared by the tests of one file that disturb nobody."""
    if request.param == "bubblewrap" and (why := why_no_bubblewrap()):
        pytest.skip(why)
    with Daemon({"providers": {"local": {"isolation": request.param}}}) as running:
        yield running.start()
