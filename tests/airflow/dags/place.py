"""How the test's tasks tell the test what they do, and wait for it: files in the folder that the run's `conf` names as "place"."""

import os

from airflow.sdk import get_current_context


def _path(name, context=None):
    return os.path.join((context or get_current_context())["dag_run"].conf["place"], name)


def leave_line(name, line, context=None):
    """Appends a line to the file `name`, in one write: what several processes leave stays whole. Callbacks tell their context."""
    fd = os.open(_path(name, context), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


def wait_for_pass(name):
    """Blocks at the FIFO `name` (tests/harness/gate.py) until the test lets one go on; dies with its process only."""
    fd = os.open(_path(name), os.O_RDONLY)
    os.read(fd, len(b"go\n"))
    os.close(fd)
