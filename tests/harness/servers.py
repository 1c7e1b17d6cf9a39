"""What all servers that tests start have in common: programs made once and kept in .state/ of the tree, processes that end with
the object, a free port."""

import contextlib
import glob
import http.client
import os
import random
import shutil
import socket
import subprocess
import tempfile

from tests.harness import processes
from tests.harness.waiting import SLOWNESS, until

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STATE = os.path.join(_ROOT, ".state")
_GO_MINOR = 21


class Unavailable(Exception):
    """This machine cannot have the server, and why."""


def free_port():
    """One that was free a moment ago, and that the kernel gives to nobody by itself: a server that is stopped finds it free again."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="utf-8") as file:
        ephemeral = int(file.read().split()[0])
    while True:
        port = random.randrange(ephemeral // 2, ephemeral)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def _listens(process, port):
    """It, and not somebody else who was quicker."""
    with contextlib.suppress(OSError):  # it has just ended
        return port in processes.listening_ports(process.pid)
    return False


def run(arguments, what, **keys):
    """What the command says; Unavailable if it fails."""
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, check=False, **keys)
    if done.returncode != 0:
        raise Unavailable(f"{what}: {' '.join(done.stdout.split())[-300:]}")
    return done.stdout


@contextlib.contextmanager
def made_once(folder):
    """Gives a fresh folder that becomes `folder` when the block succeeds; None if it is there already. One process at a time."""
    os.makedirs(STATE, exist_ok=True)
    lock = os.open(os.path.join(STATE, os.path.basename(folder) + ".lock"), os.O_CREAT | os.O_RDWR, 0o644)
    try:
        os.lockf(lock, os.F_LOCK, 0)
        if os.path.isdir(folder):
            yield None
            return
        fresh = tempfile.mkdtemp(prefix=os.path.basename(folder) + ".", dir=STATE)
        try:
            yield fresh
            os.rename(fresh, folder)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
    finally:
        os.close(lock)


def go_command():
    """The go command if it is new enough."""
    for path in (shutil.which("go"), "/usr/local/go/bin/go"):
        if not path or not os.access(path, os.X_OK):
            continue
        words = run([path, "env", "GOVERSION"], "go").strip()  # go1.26.8
        if words.startswith("go1.") and int(words[4:].split(".")[0]) >= _GO_MINOR:
            return path
    raise Unavailable(f"no go of version 1.{_GO_MINOR} or newer")


def request(endpoint, method, path, body=b"", headers=None):
    """Status and body of the answer."""
    connection = http.client.HTTPConnection(endpoint.partition("://")[2], timeout=30 * SLOWNESS)
    with contextlib.closing(connection):
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()


def npm_package(name, version):
    """The folder of a package with those that it needs, installed if it is not there yet."""
    folder = os.path.join(STATE, f"{name}-{version}")
    if not os.path.isdir(folder):
        npm = shutil.which("npm")
        if npm is None:
            raise Unavailable("no npm")
        with made_once(folder) as fresh:
            if fresh:
                run([npm, "install", "--no-audit", "--no-fund", "--silent", "--prefix", fresh, f"{name}@{version}"],
                    f"npm install {name}", timeout=600)
    return folder


def python_package(name, version):
    """A folder for sys.path with a package from PyPI and those that it needs, installed if it is not there yet."""
    folder = os.path.join(STATE, f"{name}-{version}")
    with made_once(folder) as fresh:
        if fresh:
            tools = os.path.join(fresh, "venv")
            run(["/usr/bin/python3", "-m", "venv", tools], "python3 -m venv", timeout=120)
            run([os.path.join(tools, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--target",
                 os.path.join(fresh, "site"), f"{name}=={version}"], f"pip install {name}", timeout=600)
            shutil.rmtree(tools)
    return os.path.join(folder, "site")


def debian_root(name, packages):
    """A folder with Debian's packages unpacked, not installed, and with those that they need and this machine lacks."""
    folder = os.path.join(STATE, name)
    with made_once(folder) as fresh:
        if fresh:
            if not shutil.which("apt-get"):
                raise Unavailable("no apt-get")
            archives = os.path.join(fresh, "archives")
            os.makedirs(os.path.join(archives, "partial"))
            run(["apt-get", "-y", "-qq", "--download-only", "--no-install-recommends", "-o", f"Dir::Cache::archives={archives}", "-o",
                 "Debug::NoLocking=1", "install", *packages], "apt-get")
            for package in glob.glob(os.path.join(archives, "*.deb")):
                run(["dpkg", "-x", package, fresh], "dpkg")
            shutil.rmtree(archives)
    return folder


class Server:
    """Processes with a folder of their own; both end with the object."""

    def __init__(self, prefix):
        self.folder = tempfile.mkdtemp(prefix=prefix)
        self._processes = []

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.close()

    def stop(self):
        """Kills it; what lies in the folder stays."""
        for process in self._processes:
            process.kill()
            process.wait(30 * SLOWNESS)
        self._processes = []

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, name, arguments, port, **keys):
        with open(os.path.join(self.folder, f"{name}.log"), "wb") as log:
            process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **keys)
        self._processes.append(process)
        until(lambda: process.poll() is not None or _listens(process, port), f"{name} listens", 60)
        if process.poll() is not None:
            with open(os.path.join(self.folder, f"{name}.log"), encoding="utf-8", errors="replace") as log:
                words = " ".join(log.read().split())[-500:]
            raise Unavailable(f"{name} left with {process.returncode}: {words}")
        return process
