"""The folder in which a run happens."""

import contextlib
import shutil
import tempfile

from tests.harness import processes


@contextlib.contextmanager
def folder(parent):
    """A fresh folder; afterwards whatever still runs in it or names it is killed, then it is removed."""
    path = tempfile.mkdtemp(prefix="bkbench-", dir=parent)
    try:
        yield path
    finally:
        processes.kill_all_of(path)
        shutil.rmtree(path, ignore_errors=True)
