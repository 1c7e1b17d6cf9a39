"""Generates the Python stubs once per state of the protos and puts them on the path."""

import hashlib
import os
import subprocess
import sys
import tempfile

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))


def _digest():
    digest = hashlib.sha256()
    for folder, _, files in sorted(os.walk(os.path.join(ROOT, "proto"))):
        for name in sorted(files):
            with open(os.path.join(folder, name), "rb") as file:
                digest.update(name.encode() + file.read())
    return digest.hexdigest()[:16]


def folder():
    """Folder with the generated stubs; several test workers may ask at once."""
    parent = os.path.join(ROOT, ".state", "stubs")
    path = os.path.join(parent, _digest())
    if not os.path.isdir(path):
        os.makedirs(parent, exist_ok=True)
        scratch = tempfile.mkdtemp(dir=parent)
        subprocess.run([os.path.join(ROOT, "tools", "python_stubs"), scratch], check=True)
        try:
            os.rename(scratch, path)
        except OSError:  # another worker was first
            pass
    return path


sys.path.insert(0, folder())

from boxkeeper.v1 import admin_pb2, admin_pb2_grpc, executor_pb2, executor_pb2_grpc, task_pb2  # noqa: E402

__all__ = ["ROOT", "admin_pb2", "admin_pb2_grpc", "executor_pb2", "executor_pb2_grpc", "folder", "task_pb2"]
