"""Virtual environments of pinned packages, each made once in .state/ of the tree."""

import hashlib
import os

from tests.harness import servers
from tests.harness.stubs import ROOT


def digest(paths):
    """Of files of the tree, their names and contents; names what is made of them."""
    total = hashlib.sha256()
    for path in paths:
        total.update(os.path.relpath(path, ROOT).encode() + b"\0")
        with open(path, "rb") as file:
            total.update(file.read())
    return total.hexdigest()[:12]


def install(folder, *arguments):
    """pip install into an environment, without resolving. Unavailable if that fails."""
    servers.run([os.path.join(folder, "bin", "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check",
                 *arguments], "pip", timeout=900)


def pinned(name, *requirements):
    """Folder of an environment with the packages of these requirements files. Unavailable if it cannot be made."""
    folder = os.path.join(servers.STATE, f"{name}-{digest(requirements)}")
    with servers.made_once(folder) as fresh:
        if fresh is not None:
            servers.run(["/usr/bin/python3", "-m", "venv", fresh], "python3-venv")
            install(fresh, *(word for file in requirements for word in ("-r", file)))
            os.chmod(fresh, 0o755)  # a sandbox reads it as another user
    return folder
