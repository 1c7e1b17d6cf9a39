"""What the version under test, or this machine, can do; tests that need more skip by name."""

import functools
import json
import os
import subprocess
import tempfile

import pytest

from tests.harness.daemon import DAEMON


@functools.lru_cache(maxsize=None)
def knows_bubblewrap():
    """Whether the daemon accepts `isolation: bubblewrap` at all; whether it then works is what the tests find out."""
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "config.yaml")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"state_dir": folder, "providers": {"local": {"type": "local", "isolation": "bubblewrap"}}}, file)
        check = subprocess.run([DAEMON, "--config", config, "--check_config"], check=False, capture_output=True, text=True, timeout=60)
    return "is not in this version" not in check.stderr


def need_bubblewrap():
    if not knows_bubblewrap():
        pytest.skip("this version has no isolation: bubblewrap")
