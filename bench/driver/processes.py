"""What /proc says of processes: memory and processor time."""

import os
import threading

from tests.harness import processes


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def pss_bytes(pid):
    """Proportional set size: shared pages count by their number of users."""
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(pid):
    """Processor time of all living threads of a process so far, exact to the nanosecond."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        total += int((_read(f"/proc/{pid}/task/{thread}/schedstat") or "0").split()[0])
    return total / 1e9


def program(pid):
    """Base name of the running program; empty if the process is gone."""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return ""


def descendants(pid):
    """Pids of all living descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            children.setdefault(processes.parent(int(name)), []).append(int(name))
    found, queue = [], [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


class PeakMemory:
    """Samples the resident size of a process in a thread while the block runs."""

    def __init__(self, pid, interval_seconds=0.02):
        self._pid, self._interval = pid, interval_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.start_bytes = self.peak_bytes = 0

    def __enter__(self):
        self.start_bytes = self.peak_bytes = processes.resident_bytes(self._pid)
        self._thread.start()
        return self

    def __exit__(self, *failure):
        self._over.set()
        self._thread.join()

    def _watch(self):
        while not self._over.wait(self._interval):
            self.peak_bytes = max(self.peak_bytes, processes.resident_bytes(self._pid))
