"""Fixtures of the suites about isolation."""

import pytest

from tests.harness import abilities


@pytest.fixture(scope="session")
def needs_bubblewrap():
    abilities.need_bubblewrap()
