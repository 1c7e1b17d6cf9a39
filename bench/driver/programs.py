"""Runs the measuring programs and takes their JSON; nothing outlives its caller."""

import contextlib
import json
import os
import subprocess


class Failed(Exception):
    """A measurement that cannot be trusted: a program failed, a task did not succeed, a count is wrong."""


@contextlib.contextmanager
def background(command, **options):
    """A process that lives as long as the block; its standard input is a pipe."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()


def run(command, seconds=600):
    """Runs a command to its end; returns its standard output. Failed with its last words if it did not exit with 0."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{os.path.basename(command[0])}: not done in {seconds} s") from None
        finally:
            process.kill()
    if process.returncode != 0:
        raise Failed(f"{os.path.basename(command[0])}: {(err or out).strip()[-600:]}")
    return out


def run_json(command, seconds=600):
    """The JSON object that a measuring program prints."""
    return json.loads(run(command, seconds))


@contextlib.contextmanager
def echo_server(bin_folder):
    """Address of a running echo server."""
    with background([os.path.join(bin_folder, "bench", "echo")], stdout=subprocess.PIPE, text=True) as process:
        port = process.stdout.readline().strip()
        if not port:
            raise Failed("the echo server did not start")
        yield f"127.0.0.1:{port}"
