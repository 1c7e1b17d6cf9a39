"""Checks of the text itself: unfinished work, paths of one machine, sleeping tests, long files, dead links."""

import os
import re

from tools.checks import step

# Split so that this file does not match itself.
_UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
_MACHINE = re.compile(r"(?<![\w.$}])/(?:ro" r"ot|wo" r"rk/(?:main|shared|wt))/|index-u" r"rl|://[^/\s]*(?:regi" r"stry|mir" r"ror)[^/\s]*/")
# A task that sleeps is no test that sleeps: only what the test itself does counts.
_SLEEP = re.compile(r"sleep_fo" r"r|\busle" r"ep\(|time\.sle" r"ep\(")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_BINARY = (".png", ".db", ".gz", ".wal")
_LONG = 500


# Inputs of fuzz targets: any bytes.
_CORPUS = "tests/fuzz/corpus/"


def _texts(paths):
    return [p for p in paths if not p.endswith(_BINARY) and not p.startswith(_CORPUS)]


def _is_test(path):
    name = os.path.basename(path)
    return path.startswith("tests/") or name.endswith("_test.cc") or (name.endswith(".py") and "test" in name)


def _matches(paths, pattern, what):
    problems = []
    for path in _texts(paths):
        for number, line in enumerate(step.read(path).split("\n"), 1):
            if pattern.search(line):
                problems.append(f"{path}:{number}: {what}: {line.strip()[:100]}")
    return problems


def house_rules():
    """No unfinished markers, no path of a developer's machine, no sleep in a test."""
    files = step.tracked_files()
    problems = _matches(files, _UNFINISHED, "unfinished work")
    problems += _matches(files, _MACHINE, "a path or address of one machine")
    problems += _matches([f for f in files if _is_test(f)], _SLEEP, "a test that sleeps instead of waiting for a condition")
    result = step.findings("house rules", problems)
    for path in files:
        if path.endswith((".cc", ".h", ".py")) and "_pb2" not in path:
            lines = step.read(path).count("\n")
            if lines > _LONG:
                result.notes.append(f"{path} has {lines} lines: perhaps two jobs in one")
    return result


def _anchors(text):
    anchors = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
        anchors.add(plain.strip().replace(" ", "-"))
    return anchors


def links():
    """Every relative link of the documents leads to a file, and to a heading where it names one."""
    problems = []
    for path in step.tracked_files():
        if not path.endswith(".md"):
            continue
        for target in _LINK.findall(re.sub(r"```.*?```", "", step.read(path), flags=re.DOTALL)):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            there = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
            if not os.path.exists(os.path.join(step.ROOT, there)):
                problems.append(f"{path}: link to {target}: no such file")
            elif anchor and there.endswith(".md") and anchor not in _anchors(step.read(there)):
                problems.append(f"{path}: link to {target}: no such heading")
    return step.findings("document links", problems)
