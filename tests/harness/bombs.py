"""Tasks that eat what they can."""

import os
import uuid

from tests.harness import processes
from tests.harness.client import spec

LIMITS = {"cpu": 0.5, "memory_mb": 256, "pids": 200}
# Each runs until it is stopped; `$0` marks its processes.
BOMBS = {
    "fork": "exec python3 -c 'import os\nwhile True:\n try: os.fork()\n except OSError: pass' mark",
    "memory": "exec python3 -c 'b = []\nwhile True: b.append(bytearray(8 << 20))' mark",
    "disk": "while :; do dd if=/dev/zero of=file bs=1M count=64 oflag=append conv=notrunc 2>/dev/null || sleep 0.1; done",
    "zombies": "exec python3 -c 'import os, signal\nwhile True:\n try:\n  if os.fork() == 0: os._exit(0)\n except OSError: signal.pause()' mark",
    "daemons": "while :; do setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done' \"$0\" & sleep 0.05; done",
    "deaf": "trap '' TERM INT HUP; while :; do :; done",
}


def make(kind, timeout="2s", **limits):
    """(task of this kind within LIMITS, the argument that marks its processes)."""
    mark = f"bomb-{uuid.uuid4().hex}"
    task = spec(argv=["/bin/sh", "-c", BOMBS[kind].replace("mark", mark), mark],
                override={"timeout": timeout, "grace": "500ms", **LIMITS, **limits})
    return task, mark


def living(mark):
    """Pids of the processes that carry `mark`."""
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if mark in processes.arguments(pid)]
