"""Bytes that go in and come out: arguments, environment, files, output."""

import hashlib
import json
import os
import pty
import subprocess

import pytest

from tests.harness.client import end, spec
from tests.harness.daemon import BOXCTL
from tests.harness.stubs import executor_pb2

STRANGE = ["", " ", "a b", "'", '"', "\\", "line\nbreak", "\ttab\r", "$HOME ${x} $(id) `id`", "*?[a]", "-n", "--", "ünïcödé ✓ 𝄞",
           "\x01\x1b[31m", "x" * (100 * 1024)]


def test_arguments_are_byte_exact(shared):
    program = "import sys, json; print(json.dumps(sys.argv[1:]))"
    task = shared.client.run(spec(argv=["/usr/bin/python3", "-c", program, *STRANGE]))
    assert end(task)[0] == "SUCCEEDED", task
    assert json.loads(shared.client.log(task.id)) == STRANGE


def test_environment_is_byte_exact_and_nothing_is_inherited(shared):
    wanted = {f"V{number}": value for number, value in enumerate(STRANGE)}
    program = "import os, json; print(json.dumps(dict(os.environ)))"
    task = shared.client.run(spec(argv=["/usr/bin/python3", "-c", program], override={"env": wanted}))
    assert end(task)[0] == "SUCCEEDED", task
    seen = json.loads(shared.client.log(task.id))
    assert {k: v for k, v in seen.items() if k in wanted} == wanted
    # docs/providers/local.md lists the minimal set; LC_CTYPE is made by Python itself.
    extra = {k for k in seen if k not in wanted and not k.startswith("BOXKEEPER_")} - {"LC_CTYPE"}
    assert extra <= {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TMPDIR", "PWD", "TZ"}, extra


def test_files_arrive_with_content_and_mode(shared):
    item = spec(shell="cat data/raw.bin; stat -c %a data/raw.bin run.sh key; ./run.sh; cat key")
    content = bytes(range(256)) * 4
    item.files.add(path="data/raw.bin", content=content)
    item.files.add(path="run.sh", content=b"#!/bin/sh\necho ran\n", mode=0o755)
    item.files.add(path="key", content=b"seal", secret=True)  # too short to be redacted in the log
    task = shared.client.run(item)
    assert end(task)[0] == "SUCCEEDED", (task.message, shared.client.log(task.id, "STDERR"))
    assert shared.client.log(task.id) == content + b"644\n755\n400\nran\nseal"


def test_strange_output_is_stored_byte_exact(shared):
    raw = bytes(range(256)) * 64 + b"\x00\xff\xfe\xc3\x28 \x1b[2J\x1b]0;title\x07 end without newline"
    item = spec(argv=["cat", "raw"])
    item.files.add(path="raw", content=raw)
    task = shared.client.run(item)
    task = shared.client.wait(task.id, executor_pb2.WaitTaskRequest.LOG_COMPLETE)
    assert shared.client.log(task.id) == raw
    assert shared.stored_log(task) == raw
    assert task.log.stdout_bytes == len(raw) and task.log.complete


@pytest.mark.parametrize("stream", ["STDOUT", "STDERR"])
def test_a_line_of_100_mb_is_byte_exact(shared, stream):
    size = 100_000_000
    redirect = "" if stream == "STDOUT" else " >&2"
    task = shared.client.submit(spec(shell=f"head -c {size} /dev/zero | tr '\\0' 'a'{redirect}"))
    task = shared.client.wait(task, executor_pb2.WaitTaskRequest.LOG_COMPLETE, seconds=120)
    expected = hashlib.sha256(b"a" * size).hexdigest()
    read = hashlib.sha256()
    for piece in shared.client.log_pieces(task.id, stream, seconds=120):
        read.update(piece.data)
    assert read.hexdigest() == expected
    assert hashlib.sha256(shared.stored_log(task, stream.lower())).hexdigest() == expected


def _on_a_terminal(command, environment):
    """What a terminal would get from `command`, as bytes."""
    master, slave = pty.openpty()
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=subprocess.DEVNULL, env=environment) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # Linux's way to say that the other side is closed
                break
            if not piece:
                break
            shown += piece
        process.wait(60)
    os.close(master)
    return shown


def test_a_terminal_gets_escaped_output_and_a_pipe_the_bytes(shared):
    raw = b"\x1b[31mred\x1b[0m \x1b]0;title\x07\x00\xff plain \xe2\x9c\x93\n"
    item = spec(argv=["cat", "raw"])
    item.files.add(path="raw", content=raw)
    task = shared.client.run(item)
    assert shared.boxctl("logs", task.id).stdout == raw
    shown = _on_a_terminal([BOXCTL, "--server", f"unix:{shared.socket}", "logs", task.id],
                           {"PATH": os.environ["PATH"], "TERM": "xterm", "LANG": "C.UTF-8"})
    assert b"red" in shown and b"plain" in shown and "✓".encode() in shown
    assert b"\x1b" not in shown and b"\x07" not in shown and b"\x00" not in shown and b"\xff" not in shown
