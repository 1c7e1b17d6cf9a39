"""The real daemon as users run it: default intervals, a temporary state folder on the bench's file system."""

import os
import re
import tempfile
import urllib.request

from bench.driver.programs import Failed
from tests.harness.daemon import Daemon
from tests.harness.stubs import admin_pb2
from tests.harness.waiting import until

_LARGE_BYTES = 1 << 20
_ADDRESSES = re.compile(r"boxkeeperd started .*grpc=(\S+) http=(\S+)")


class BenchDaemon(Daemon):
    """The harness's daemon on TCP (as the echo reference), with the intervals of a default configuration."""

    def __init__(self, parent, isolation="none", config=None, extra_config=None):
        base = {
            "server": {"listen": ["127.0.0.1:0"]},
            "logs": {"flush_interval": None, "flush_interval_max": None},
            "scheduling": {"poll_interval": None, "inspect_interval": None, "max_queued": 10_000_000},
            "providers": {"local": {"isolation": isolation}},
        }
        for overlay in (config, extra_config):
            for section, values in (overlay or {}).items():
                base[section] = {**base.get(section, {}), **values}
        super().__init__(base, folder=tempfile.mkdtemp(prefix="bk-", dir=parent))
        self.target = ""
        self._http = ""

    def start(self, seconds=60):
        """Starts and waits until it serves; Failed with its last words if it does not."""
        said = len(self.log_text()) if os.path.exists(self.log_file) else 0
        self.launch()

        def started():
            if self.process.poll() is not None:
                raise Failed(f"boxkeeperd left with {self.process.returncode}: {self.log_text()[said:].strip()[-300:]}")
            return self.find_addresses(said)

        until(started, "boxkeeperd started", seconds)
        self.reconnect()
        until(lambda: self.client.health() == 1, "health SERVING", seconds)
        return self

    def find_addresses(self, said=0):
        """Takes the listeners' addresses from what the daemon logged after `said` characters; False if they are not there yet."""
        found = _ADDRESSES.search(self.log_text(), said)
        if found:
            self.target, self._http = found.group(1), found.group(2)
        return bool(found)

    def reconnect(self):
        """A fresh client: after a restart the ports are others."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        self.connect(self.target)

    def http(self, path):
        """(status, text) of an HTTP GET."""
        with urllib.request.urlopen(f"http://{self._http}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()

    def remove(self):
        """Leaves the folder, without its large files, to the scratch folder's end: ext4 slows down whoever makes files in the
        minutes after many were deleted, which would be the next experiment."""
        self.end()
        for folder, _, names in os.walk(self.folder):
            for path in (os.path.join(folder, name) for name in names):
                # The sandboxes' init is a program: what still leaves one would make it "text file busy".
                data = os.path.isfile(path) and not os.path.islink(path) and not os.access(path, os.X_OK)
                if data and os.path.getsize(path) > _LARGE_BYTES:
                    os.truncate(path, 0)

    def drain(self):
        """From now on tasks are accepted but not started."""
        self.client.call(self.client.admin.Drain, admin_pb2.DrainRequest())
        return self

    def tasks_by_state(self):
        """{state: count} without states that nobody is in."""
        status = self.client.call(self.client.admin.GetStatus, admin_pb2.GetStatusRequest())
        return {state: count for state, count in status.tasks.items() if count}

    def expect_states(self, expected):
        """Failed unless the daemon counts exactly these tasks."""
        found = self.tasks_by_state()
        if found != expected:
            raise Failed(f"the daemon counts {found}, the client {expected}")
