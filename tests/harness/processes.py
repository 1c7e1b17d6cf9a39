"""Finds and removes every process that belongs to one state folder, whoever started it."""

import contextlib
import glob
import os
import signal

from tests.harness.waiting import until


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""


def is_of_folder(pid, folder):
    """True if the process's arguments, environment, directory or open files lie in `folder`."""
    base = f"/proc/{pid}"
    marker = folder.encode()
    if marker in _read(f"{base}/cmdline") or marker in _read(f"{base}/environ"):
        return True
    if folder in _link(f"{base}/cwd"):
        return True
    try:
        descriptors = os.listdir(f"{base}/fd")
    except OSError:
        return False
    return any(folder in _link(f"{base}/fd/{fd}") for fd in descriptors)


def state(pid):
    """The letter of /proc/PID/stat ("R", "S", "T", "Z", ...); empty if there is no such process."""
    text = _read(f"/proc/{pid}/stat").decode(errors="replace")
    return text.rpartition(")")[2].split()[0] if ")" in text else ""


def of_folder(folder):
    """Pids of the living processes whose arguments, environment, directory or open files lie in `folder`."""
    me = os.getpid()
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return {pid for pid in pids if pid != me and state(pid) not in ("", "Z") and is_of_folder(pid, folder)}


def name(pid):
    """What the process calls itself, at most 15 bytes; empty if there is no such process."""
    return _read(f"/proc/{pid}/comm").decode(errors="replace").strip()


def arguments(pid):
    """Command line of a process as a list."""
    return [part.decode(errors="replace") for part in _read(f"/proc/{pid}/cmdline").split(b"\0")[:-1]]


def resident_bytes(pid):
    """Resident set size of a process."""
    for line in _read(f"/proc/{pid}/status").decode().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def listening_ports(pid):
    """TCP ports on which a process listens, ascending."""
    sockets = {_link(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in _read(f"/proc/{pid}/net/{table}").decode().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return sorted(ports)


def kill_all_of(folder):
    """Kills what `of_folder` finds until there is nothing more."""

    def none_left():
        pids = of_folder(folder)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not pids

    until(none_left, f"processes of {folder} gone")
    # Of launchers that had no chance to remove them; the kernel refuses to remove one in use.
    for group in glob.glob("/sys/fs/cgroup/**/boxlaunch-*", recursive=True):
        with contextlib.suppress(OSError):
            os.rmdir(group)


def parent(pid):
    """Pid of a process's parent; 0 if it is gone."""
    text = _read(f"/proc/{pid}/stat").decode(errors="replace")
    return int(text.rpartition(")")[2].split()[1]) if ")" in text else 0
