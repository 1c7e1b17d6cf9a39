"""What the machine is, and its yardsticks."""

import os
import platform
import time

from bench.driver import programs, stats


def _first(path, key):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith(key):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return "unknown"


def _file_system(folder):
    """Type and source of the file system that holds `folder`."""
    best = ("", "unknown")
    folder = os.path.realpath(folder)
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
        for line in file:
            source, point, kind = line.split()[:3]
            if (folder + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best[0]):
                best = (point, f"{kind} on {source}")
    return best[1]


def describe(folder):
    """What the reader of a table must know of the machine."""
    memory_kib = int(_first("/proc/meminfo", "MemTotal").split()[0])
    return {
        "cpu": _first("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory_kib / 2**20, 1),
        "kernel": platform.release(),
        "system": _first_line("/etc/os-release", "PRETTY_NAME="),
        "file_system": _file_system(folder),
        "load_average": list(os.getloadavg()),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _first_line(path, key):
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith(key):
                return line.removeprefix(key).strip().strip('"')
    return "unknown"


def fdatasync_ms(_bin_folder, folder, times=200):
    """Median of fdatasync after 4 KiB appended, in `folder`."""
    path = os.path.join(folder, "fdatasync")
    samples = []
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        for _ in range(times):
            os.write(fd, bytes(4096))
            before = time.monotonic_ns()
            os.fdatasync(fd)
            samples.append((time.monotonic_ns() - before) / 1e6)
    finally:
        os.close(fd)
        os.unlink(path)
    return stats.summary(samples).median


def spawns_per_second(bin_folder, _folder):
    """posix_spawn of /bin/true, 2 in flight."""
    return programs.run_json([f"{bin_folder}/bench/spawn_loop", "--in_flight", "2", "--count", "1000", "--", "/bin/true"])["rate"]


def echoes_per_second(bin_folder, _folder):
    """Unary gRPC echo, 64 in flight."""
    with programs.echo_server(bin_folder) as target:
        return programs.run_json([f"{bin_folder}/bench/load", "--target", target, "--in_flight=64", "--seconds=0.5", "--warmup=0.2"])["rate"]


# Of bounds.REFERENCE: each takes one sample, given the folder of the binaries and the scratch folder.
YARDSTICKS = {"echo": echoes_per_second, "spawn": spawns_per_second, "fdatasync": fdatasync_ms}


def yardsticks(bin_folder, folder):
    """One sample of each yardstick."""
    return {name: sample(bin_folder, folder) for name, sample in YARDSTICKS.items()}
