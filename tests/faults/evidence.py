"""What is kept of a world in which a promise was broken, before the world is removed."""

import contextlib
import os
import signal
import subprocess
import time
import traceback

from tests.harness import processes
from tests.harness.client import TERMINAL
from tests.harness.daemon import BOXCTL
from tests.harness.stubs import ROOT, executor_pb2

_TASKS_MAX = 20
_LATE_SECONDS = 60


def folder(name):
    """Where the evidence of a failure goes that can be told from others by `name`."""
    return os.path.join(ROOT, ".state", "evidence", f"{name}-{time.strftime('%Y%m%dT%H%M%S')}")


def _write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _asked(world, *arguments):
    """What boxctl answers, errors and silence too."""
    try:
        answer = subprocess.run([BOXCTL, "--server", f"unix:{world.daemon.socket}", *arguments], check=False, capture_output=True, timeout=_LATE_SECONDS + 15)
        return f"$ boxctl {' '.join(arguments)} -> {answer.returncode}\n{(answer.stdout + answer.stderr).decode(errors='replace')}\n"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"$ boxctl {' '.join(arguments)}: {error}\n"


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError as error:
        return str(error)


def _process_tree(pids):
    """What the kernel tells about each process: for a process that waits also where, thread by thread."""
    listing = subprocess.run(["ps", "-e", "-o", "pid,ppid,pgid,stat,lstart,wchan:24,args", "--forest"], check=False, capture_output=True)
    lines = [listing.stdout.decode(errors="replace")]
    for pid in sorted(pids):
        lines.append(f"== {pid} {' '.join(processes.arguments(pid))}")
        with contextlib.suppress(OSError):
            for thread in sorted(os.listdir(f"/proc/{pid}/task"), key=int):
                base = f"/proc/{pid}/task/{thread}"
                lines.append(f"   {thread} {_read(base + '/comm')} {_read(base + '/wchan')} {_read(base + '/syscall')}")
            for descriptor in sorted(os.listdir(f"/proc/{pid}/fd"), key=int):
                with contextlib.suppress(OSError):
                    lines.append(f"   fd {descriptor} {os.readlink(f'/proc/{pid}/fd/{descriptor}')}")
    return "\n".join(lines) + "\n"


def _open_tasks(world, ids):
    """Those of `ids` that have no end or no complete log, as far as the daemon still answers."""
    found = []
    for task_id in ids:
        try:
            task = world.client.executor.GetTask(executor_pb2.GetTaskRequest(task=executor_pb2.TaskRef(id=task_id)), timeout=5)
        except Exception:  # pylint: disable=broad-except
            return list(ids)[-_TASKS_MAX:]
        if task.state not in TERMINAL or not task.log.complete:
            found.append(task_id)
    return found[:_TASKS_MAX]


def _copy(world, pids, target):
    """The world's whole folder (store, spool, sandboxes, logs, what was said), of one moment: its processes stand still meanwhile."""
    def send(number):
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, number)

    send(signal.SIGSTOP)
    try:
        subprocess.run(["cp", "-a", world.daemon.folder, target], check=False, capture_output=True)
    finally:
        send(signal.SIGCONT)


def keep(world, target, ids, failure):
    """Writes into the folder `target` all that can be known about `world` and its tasks `ids`; never raises."""
    try:
        _keep(world, target, ids, failure)
    except Exception as error:  # pylint: disable=broad-except
        print(f"evidence: {error!r}", flush=True)


def _keep(world, target, ids, failure):
    os.makedirs(target)
    print(f"evidence goes into {target}", flush=True)
    _write(os.path.join(target, "failure.txt"), "".join(traceback.format_exception(failure)))
    pids = processes.of_folder(world.daemon.folder)
    _write(os.path.join(target, "processes.txt"), _process_tree(pids))
    late = _open_tasks(world, ids)
    told = "".join(_asked(world, *words) for words in (["status"], ["sandboxes", "-o", "json"], ["orphans"], ["providers"]))
    told += "".join(_asked(world, "get", task_id, "-o", "json") + _asked(world, "describe", task_id) for task_id in late)
    _write(os.path.join(target, "told.txt"), told)
    print(told, flush=True)
    _copy(world, pids, os.path.join(target, "world"))
    # Whether it only takes long, or never comes to an end.
    if late:
        later = _asked(world, "wait", "--timeout", f"{_LATE_SECONDS}s", *late)
        later += "".join(_asked(world, "get", task_id, "-o", "json") for task_id in late)
        _write(os.path.join(target, "later.txt"), later)
