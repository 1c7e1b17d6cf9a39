"""What every step of tools/test shares: its result, running a command, listing the tree's files."""

import dataclasses
import functools
import os
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))


@dataclasses.dataclass
class Result:
    """Outcome of one step; `name` is the table's first column, `notes` are printed below the table."""

    name: str
    passed: int = 0
    failed: int = 0
    seconds: float = 0.0
    notes: list = dataclasses.field(default_factory=list)


def run(command, timeout=None, env=None, quiet=False):
    """Runs `command` in the tree's root; returns (exit code, combined output). Shows the output unless `quiet`."""
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **(env or {})}, text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        if quiet:
            output, _ = process.communicate(timeout=timeout)
            return process.returncode, output
        lines = []
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            lines.append(line)
        return process.wait(), "".join(lines)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@functools.lru_cache(maxsize=None)
def tracked_files():
    """Every file of the tree that git knows or would add, relative to the root, sorted."""
    _, output = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], quiet=True)
    return sorted(f for f in set(output.splitlines()) if os.path.isfile(os.path.join(ROOT, f)))


@functools.lru_cache(maxsize=None)
def changed_files():
    """Files that differ from where this branch left main (on main: from the last commit's parent)."""
    _, base = run(["git", "merge-base", "HEAD", "main"], quiet=True)
    _, head = run(["git", "rev-parse", "HEAD"], quiet=True)
    base = base.strip()
    if not base or " " in base or base == head.strip():
        base = "HEAD~1"
    code, output = run(["git", "diff", "--name-only", base], quiet=True)
    if code != 0:
        return tracked_files()
    _, fresh = run(["git", "ls-files", "--others", "--exclude-standard"], quiet=True)
    known = set(tracked_files())
    return sorted(f for f in set(output.splitlines() + fresh.splitlines()) if f in known)


def cores():
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def read(path):
    """Text of a file of the tree; bytes that are not UTF-8 are replaced."""
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def is_script(path, interpreter):
    """Whether the file's first line names `interpreter` (scripts without an ending)."""
    if "." in os.path.basename(path):
        return False
    first = read(path).split("\n", 1)[0]
    return first.startswith("#!") and interpreter in first


def findings(name, problems):
    """Result of a check that found `problems` (lines for people): one check, passed or failed."""
    for problem in problems:
        print(problem)
    return Result(name, passed=int(not problems), failed=int(bool(problems)))
