"""Fixtures of the end-to-end tests."""

import pytest

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
