"""Some rounds of tools/soak."""

import os

from tests.faults.soak import soak

ROUNDS = 100 if os.environ.get("BOXKEEPER_FULL") else 12


def test_random_kills_of_daemon_launcher_and_supervisors():
    seed = int(os.environ.get("BOXKEEPER_SEED", "20264"))
    print(f"BOXKEEPER_SEED={seed}")
    counts = soak(ROUNDS, seed)
    assert counts["rounds"] == ROUNDS and counts["tasks"] > 0
