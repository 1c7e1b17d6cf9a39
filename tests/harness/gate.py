"""Lets a test decide when a task goes on, without either side polling."""

import os


class Gate:
    """A FIFO in `folder`. A shell command that contains `gate.wait` blocks there until `open` is called."""

    def __init__(self, folder, name="gate"):
        self.path = os.path.join(folder, name)
        os.mkfifo(self.path)
        self._fd = os.open(self.path, os.O_RDWR)  # never blocks; keeps what was written until it is read

    @property
    def wait(self):
        """Shell text that waits for one pass."""
        return f"read -r pass < {self.path}"

    def open(self, passes=1):
        """Lets `passes` waiting commands go on, now or when they come."""
        os.write(self._fd, b"go\n" * passes)

    def __del__(self):
        os.close(self._fd)
