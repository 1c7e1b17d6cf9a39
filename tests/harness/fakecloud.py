"""FakeCloud as a process: it outlives the daemons of a test, and its audit log says what really happened."""

import json
import os
import signal
import subprocess
import urllib.request

from tests.harness.daemon import BIN
from tests.harness.waiting import SLOWNESS

SERVER = os.path.join(BIN, "providers", "fakecloud", "fakecloudd")
# The boxkeeperd that knows `type: fakecloud`.
DAEMON = os.path.join(BIN, "tests", "faults", "boxkeeperd_faults")


class FakeCloud:
    """A server with its audit file in `folder`. Use as a context manager."""

    def __init__(self, folder, script="", arguments=()):
        self.audit_file = os.path.join(folder, "audit.jsonl")
        self.process = subprocess.Popen([SERVER, "--audit_file", self.audit_file, *arguments], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            self.process.wait(10 * SLOWNESS)
            raise AssertionError(f"fakecloudd left with {self.process.returncode}")
        if script:
            self.script(script)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.close()

    def close(self, number=signal.SIGTERM):
        """Ends the process; the audit file stays."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(10 * SLOWNESS)
        self.process.stdout.close()

    def provider(self, **keys):
        """A section `providers.NAME` for a daemon's configuration."""
        return {"type": "fakecloud", "base_url": self.url, **keys}

    def _admin(self, method, what, body=None):
        request = urllib.request.Request(f"{self.url}/admin/{what}", data=None if body is None else body.encode(), method=method)
        with urllib.request.urlopen(request, timeout=30 * SLOWNESS) as answer:
            return answer.read().decode()

    def script(self, text):
        """Replaces the faults; "" takes all away."""
        self._admin("PUT", "script", text or "{}")

    def vanish(self, name):
        """Deletes a sandbox behind the daemon's back."""
        self._admin("POST", "vanish", json.dumps({"name": name}))

    def counts(self):
        """Calls by verb, answers by status, connections."""
        return json.loads(self._admin("GET", "counts"))

    def audit(self):
        """Everything that happened, in order: [{"kind", "boot_ns", "name", "exec_id", "detail"}]. Works after the server's end too."""
        with open(self.audit_file, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def executions(self):
        """How often user code began, by exec_id (the task's id)."""
        found = {}
        for entry in self.audit():
            if entry["kind"] == "execute":
                found[entry["exec_id"]] = found.get(entry["exec_id"], 0) + 1
        return found

    def living(self):
        """Names of the sandboxes that were made and not yet destroyed."""
        names = set()
        for entry in self.audit():
            if entry["kind"] == "create":
                names.add(entry["name"])
            elif entry["kind"] in ("destroy", "vanish"):
                names.discard(entry["name"])
        return names
