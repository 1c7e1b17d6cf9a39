"""A virtual environment with the schedulers' own log readers (tests/logstores/readers.txt), made once in .state/ of the tree."""

import hashlib
import os

from tests.harness import servers

_REQUIREMENTS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "logstores", "readers.txt")


def python():
    """Its interpreter. Unavailable without BOXKEEPER_FULL (making it takes a minute and 400 MB, its tests another), or if it fails."""
    if not os.environ.get("BOXKEEPER_FULL"):
        raise servers.Unavailable("Airflow's and Metaflow's own readers are for BOXKEEPER_FULL")
    with open(_REQUIREMENTS, "rb") as file:
        version = hashlib.sha256(file.read()).hexdigest()[:12]
    folder = os.path.join(servers.STATE, f"readers-{version}")
    interpreter = os.path.join(folder, "bin", "python")
    with servers.made_once(folder) as fresh:
        if fresh is not None:
            servers.run(["/usr/bin/python3", "-m", "venv", fresh], "python3-venv")
            servers.run([os.path.join(fresh, "bin", "python"), "-m", "pip", "install", "--quiet", "--no-deps",
                            "--disable-pip-version-check", "-r", _REQUIREMENTS], "pip")
    return interpreter
