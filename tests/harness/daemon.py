"""Real boxkeeperd processes in a folder of their own, and everything they started removed again."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request

from tests.harness import processes
from tests.harness.client import Client
from tests.harness.stubs import ROOT
from tests.harness.waiting import SLOWNESS, until

BIN = os.environ.get("BOXKEEPER_BIN") or os.path.join(ROOT, "bazel-bin")
DAEMON = os.path.join(BIN, "daemon", "boxkeeperd")
LAUNCHER = os.path.join(BIN, "launcher", "boxlaunch")
BOXCTL = os.path.join(BIN, "cli", "boxctl")
# Freed memory is kept only shortly: what the tests bound is ours.
_ASAN = {"ASAN_OPTIONS": "detect_container_overflow=0:detect_leaks=0:quarantine_size_mb=64"}


def merge(base, overlay):
    """`overlay` on `base`, maps merged in depth; a value None removes the key."""
    merged = dict(base)
    for key, value in overlay.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


class Daemon:
    """One state folder and the daemon on it. Use as a context manager: leaving removes processes and files.

    `config` is merged over a base that listens on a unix socket and a free HTTP port and looks at things often.
    """

    def __init__(self, config=None, folder=None, state_dir=None, environment=None, extra_arguments=(), user=None, prefix=()):
        """`user`: uid (and gid) that the daemon runs as, with copies of the programs that it can reach; needs root.
        `prefix`: a command that starts the daemon, e.g. setpriv with its flags."""
        self.folder = folder or tempfile.mkdtemp(prefix="bk-", dir="/tmp")
        self.state_dir = state_dir or os.path.join(self.folder, "state")
        self.socket = os.path.join(self.folder, "grpc.sock")
        self.config_file = os.path.join(self.folder, "config.yaml")
        self.log_file = os.path.join(self.folder, "daemon.log")
        self.environment = environment or {}
        self.extra_arguments = list(extra_arguments)
        self.user, self.prefix = user, list(prefix)
        self.program, self.launcher = DAEMON, LAUNCHER
        self.process = None
        self._clients = []
        os.makedirs(self.state_dir, exist_ok=True)
        self.base_config = {
            "state_dir": self.state_dir,
            "server": {"listen": f"unix:{self.socket}"},
            "http": {"listen": "127.0.0.1:0"},
            "logs": {"url": f"file://{self.folder}/logs", "flush_interval": "100ms", "flush_interval_max": "200ms"},
            "scheduling": {"poll_interval": "200ms", "inspect_interval": "200ms"},
            "providers": {"local": {"type": "local", "isolation": "none"}},
            "log": {"level": "info", "format": "text"},
        }
        self.configure(config or {})
        if user is not None:
            self._give_to_user()

    def _give_to_user(self):
        """The folder and copies of the programs: the build tree may lie below a home that others cannot enter."""
        programs = os.path.join(self.folder, "bin")
        os.makedirs(programs)
        self.program, self.launcher = (shutil.copy(path, programs) for path in (DAEMON, LAUNCHER))
        for path in (self.folder, self.state_dir, programs, self.program, self.launcher, self.config_file):
            os.chown(path, self.user, self.user)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.remove()

    def configure(self, overlay):
        """Writes the configuration file anew: the base with `overlay` merged over it."""
        self.config = merge(self.base_config, overlay)
        with open(self.config_file, "w", encoding="utf-8") as file:
            json.dump(self.config, file, indent=1)  # JSON is YAML

    def launch(self, arguments=None):
        """Starts the process without waiting for anything; returns it."""
        log = open(self.log_file, "ab")
        identity = {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}
        with log:
            self.process = subprocess.Popen(
                [*self.prefix, self.program, "--config", self.config_file, "--launcher", self.launcher, *self.extra_arguments,
                 *(arguments or [])],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env={"PATH": os.environ["PATH"], **_ASAN, **self.environment}, **identity)
        return self.process

    def start(self, seconds=30):
        """Starts the daemon and waits until it serves; returns self."""
        self.launch()

        def serves():
            if self.process.poll() is not None:
                raise AssertionError(f"boxkeeperd left with {self.process.returncode}:\n{self.log_tail()}")
            return self.client.health() == 1

        until(serves, "health SERVING", seconds)
        return self

    @property
    def client(self):
        """A client of the unix socket, made once."""
        if not self._clients:
            self.connect()
        return self._clients[0]

    def connect(self, target=None, **options):
        """A further client; `target` defaults to the unix socket."""
        client = Client(target or f"unix:{self.socket}", **options)
        self._clients.append(client)
        return client

    def kill(self, number=signal.SIGKILL):
        """Sends a signal and, unless it only stops or continues the process, waits for its end; returns the exit code."""
        self.process.send_signal(number)
        if number in (signal.SIGSTOP, signal.SIGCONT, signal.SIGHUP):
            return None
        return self.process.wait(60 * SLOWNESS)

    def terminate(self):
        """SIGTERM: hand-over. Returns the exit code."""
        return self.kill(signal.SIGTERM)

    def restart(self):
        """kill -9 and start again."""
        self.kill()
        return self.start()

    def log_text(self):
        """What the daemon has said on stderr so far, over all its lives."""
        with open(self.log_file, encoding="utf-8", errors="replace") as file:
            return file.read()

    def log_tail(self):
        return "\n".join(self.log_text().splitlines()[-30:])

    def http(self, path):
        """(status, text) of an HTTP GET at the daemon's HTTP port."""
        port = until(lambda: processes.listening_ports(self.process.pid), "an HTTP port")[0]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name):
        """Sum of all samples of a metric."""
        total = 0.0
        for line in self.http("/metrics")[1].splitlines():
            if line.startswith((name + " ", name + "{")):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def boxctl(self, *arguments, **options):
        """Runs boxctl against this daemon; returns the finished process with bytes as output."""
        return subprocess.run([BOXCTL, "--server", f"unix:{self.socket}", *arguments], check=False, capture_output=True,
                              timeout=60 * SLOWNESS, env={"PATH": os.environ["PATH"], **_ASAN}, **options)

    def launcher_pid(self):
        """Pid of the state folder's boxlaunch: the one whose parent is not a boxlaunch; None if there is none."""
        launchers = {pid for pid in processes.of_folder(self.state_dir)
                     if "".join(processes.arguments(pid)[:1]).endswith("boxlaunch")}
        for pid in launchers - set(self.supervisor_pids()):
            if processes.parent(pid) not in launchers:
                return pid
        return None

    def supervisor_pids(self):
        """Pids of the supervisors, also of those whose launcher is gone."""
        return [pid for pid in processes.of_folder(self.state_dir) if self._is_supervisor(pid)]

    @staticmethod
    def _is_supervisor(pid):
        # A command between its fork and its exec still has its supervisor's name.
        return processes.name(pid).startswith("bx:") and not processes.name(processes.parent(pid)).startswith("bx:")

    def kill_launcher_process(self, pid):
        """SIGKILL to a pid that `launcher_pid` or `supervisor_pids` gave, if it is still one of these: pids come again soon
        where many processes are started. True if it was."""
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        try:
            is_launcher = not processes.name(pid).startswith("bx:") and "".join(processes.arguments(pid)[:1]).endswith("boxlaunch")
            same = self._is_supervisor(pid) or is_launcher
            if not same or not processes.is_of_folder(pid, self.state_dir):
                return False
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)

    def stored_log(self, task, stream="stdout"):
        """Bytes of a task's log in the `plain` layout of the log store."""
        with open(os.path.join(self.folder, "logs", task.log.path, stream), "rb") as file:
            return file.read()

    def end(self):
        """Ends every process of the folder."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()
        processes.kill_all_of(self.folder)

    def remove(self):
        """Ends every process of the folder, then removes it."""
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)
