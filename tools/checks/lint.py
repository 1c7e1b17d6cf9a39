"""Linters that are programs of their own: clang-format, clang-tidy, shellcheck, pyflakes."""

import concurrent.futures
import hashlib
import os
import re
import time

from tools.checks import plugins, step

_TIDY_CHECKS_FILE = ".clang-tidy"
_CACHE = ".state/tidy"


def clang_format():
    """Every C++ file is formatted as .clang-format says."""
    files = [f for f in step.tracked_files() if f.endswith((".cc", ".h"))]
    _, output = step.run(["clang-format-19", "--dry-run", *files], quiet=True)
    bad = sorted(set(re.findall(r"^(\S+?):\d+:\d+: warning", output, re.MULTILINE)))
    return step.findings("clang-format", [f"{f}: run clang-format-19 -i {f}" for f in bad])


def shellcheck():
    """Every shell script of the tree."""
    files = [f for f in step.tracked_files() if f.endswith(".sh") or step.is_script(f, "sh")]
    code, output = step.run(["shellcheck", *files], quiet=True)
    return step.findings("shellcheck", output.splitlines() if code else [])


def pyflakes():
    """Every Python file and script of the tree, but those that protoc wrote."""
    files = [f for f in step.tracked_files() if (f.endswith(".py") or step.is_script(f, "python")) and not f.startswith(plugins.STUBS)]
    code, output = step.run(["/usr/bin/python3", "-m", "pyflakes", *files], quiet=True)
    return step.findings("pyflakes", output.splitlines() if code else [])


def _tidy_key(path, salt):
    """A file's findings depend on itself and on the headers of the tree that it reaches."""
    seen, queue = set(), [path]
    digest = hashlib.sha256(salt.encode())
    while queue:
        current = queue.pop()
        if current in seen or not os.path.isfile(os.path.join(step.ROOT, current)):
            continue
        seen.add(current)
        text = step.read(current)
        digest.update(f"{current}\0{len(text)}\0{text}".encode())
        queue.extend(sorted(re.findall(r'^#include "([^"]+)"', text, re.MULTILINE)))
    return digest.hexdigest()


def _tidy_one(path, generated):
    flags = ["-std=c++20", "-I.", f"-I{generated}/proto", f"-I{generated}", "-msse4.2", "-DSPDLOG_COMPILED_LIB",
             "-DSPDLOG_SHARED_LIB", "-DSPDLOG_FMT_EXTERNAL", "-DBOOST_ASIO_NO_DEPRECATED"]
    _, output = step.run(["clang-tidy-19", "--quiet", "--warnings-as-errors=*", path, "--", *flags], quiet=True)
    wanted = re.compile(r"^(/|\S+:\d+:\d+: (error|warning))")
    return [line for line in output.splitlines() if wanted.match(line) and (": error:" in line or ": warning:" in line)]


def clang_tidy(files, generated, budget):
    """clang-tidy on `files`, the product before its tests and those changed last first, until `budget` seconds (None: no bound) are over.

    `generated` is the folder of the build's generated headers. Clean files are remembered by content.
    """
    started = time.monotonic()
    os.makedirs(os.path.join(step.ROOT, _CACHE), exist_ok=True)
    salt = step.read(_TIDY_CHECKS_FILE)
    _, log = step.run(["git", "log", "-n", "400", "--format=", "--name-only"], quiet=True)
    recency = {}
    for position, path in enumerate(log.splitlines()):
        recency.setdefault(path, position)
    files = sorted((f for f in files if f.endswith(".cc")), key=lambda f: (f.endswith("_test.cc"), recency.get(f, 0)))
    problems, skipped, checked = [], 0, 0

    def check(path):
        mark = os.path.join(step.ROOT, _CACHE, _tidy_key(path, salt))
        if os.path.exists(mark):
            return []
        if budget is not None and time.monotonic() - started > budget:
            return None
        found = _tidy_one(path, generated)
        if not found:
            with open(mark, "w", encoding="utf-8"):
                pass
        return found

    with concurrent.futures.ThreadPoolExecutor(step.cores()) as pool:
        for found in pool.map(check, files):
            if found is None:
                skipped += 1
            else:
                checked += 1
                problems += found
    result = step.findings("clang-tidy", sorted(set(problems)))
    if skipped:
        result.notes.append(f"clang-tidy: {checked} files checked, {skipped} not reached in {budget} s (all with --full)")
    return result
