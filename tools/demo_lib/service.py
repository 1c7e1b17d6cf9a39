"""The demo's daemon: started, killed, started again, and removed with everything it started."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

GRPC_PORT, HTTP_PORT = 7433, 7434


def _free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Service:
    """One boxkeeperd with a temporary state folder. Call `remove` at the end, whatever happened."""

    def __init__(self, binaries):
        self._daemon = os.path.join(binaries, "daemon", "boxkeeperd")
        self._launcher = os.path.join(binaries, "launcher", "boxlaunch")
        self._boxctl = os.path.join(binaries, "cli", "boxctl")
        self.folder = tempfile.mkdtemp(prefix="bk-demo-")
        self.server = f"127.0.0.1:{GRPC_PORT}"
        self.process = None
        self.arguments = []
        if not (_free(GRPC_PORT) and _free(HTTP_PORT)):
            self._use_other_addresses()

    def _use_other_addresses(self):
        """Ports 7433 and 7434 are taken, perhaps by another Boxkeeper: listen on a unix socket instead."""
        self.server = f"unix:{self.folder}/grpc.sock"
        config = os.path.join(self.folder, "config.yaml")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"state_dir": self.folder, "server": {"listen": self.server}, "http": {"listen": "127.0.0.1:0"},
                       "providers": {"local": {"type": "local", "isolation": "none"}}}, file)
        self.arguments = ["--config", config]

    def start(self):
        """Starts the daemon and waits until it answers."""
        with open(os.path.join(self.folder, "daemon.log"), "ab") as log:
            self.process = subprocess.Popen([self._daemon, "--launcher", self._launcher, *self.arguments], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env={**os.environ, "STATE_DIRECTORY": self.folder})
        deadline = time.monotonic() + 60
        while self.boxctl("status").returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the daemon did not start; its log:\n{self.log()}")
            time.sleep(0.05)

    def kill(self):
        """kill -9: what a crash does."""
        self.process.kill()
        self.process.wait()

    def boxctl(self, *arguments):
        """Runs boxctl to its end; output as text."""
        return subprocess.run(self.command(*arguments), check=False, capture_output=True, text=True, timeout=120)

    def command(self, *arguments):
        return [self._boxctl, "--server", self.server, *arguments]

    def log(self):
        with open(os.path.join(self.folder, "daemon.log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def processes(self):
        """Pids of everything that works in the state folder: daemon, launcher, supervisors, tasks."""
        found, marker = [], self.folder
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) == os.getpid():
                continue
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    words = file.read().decode(errors="replace")
                mine = self.process is not None and int(name) == self.process.pid
                if words and (mine or marker in words or marker in os.readlink(f"/proc/{name}/cwd")):
                    found.append(int(name))
            except OSError:
                continue  # gone, or another user's
        return found

    def remove(self):
        """Ends every process of the demo and removes its folder; returns how many are left (0)."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        deadline = time.monotonic() + 10
        while (pids := self.processes()) and time.monotonic() < deadline:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)
        shutil.rmtree(self.folder, ignore_errors=True)
        return len(pids)
