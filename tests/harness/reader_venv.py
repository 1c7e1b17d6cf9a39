"""A virtual environment with the schedulers' own log readers (tests/logstores/readers.txt), made once in .state/ of the tree."""

import os

from tests.harness import servers, venvs

_REQUIREMENTS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "logstores", "readers.txt")


def python():
    """Its interpreter. Unavailable without BOXKEEPER_FULL (making it takes a minute and 400 MB, its tests another), or if it fails."""
    if not os.environ.get("BOXKEEPER_FULL"):
        raise servers.Unavailable("Airflow's and Metaflow's own readers are for BOXKEEPER_FULL")
    return os.path.join(venvs.pinned("readers", _REQUIREMENTS), "bin", "python")
