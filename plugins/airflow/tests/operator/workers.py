"""Worker processes (worker_main.py) against a real daemon."""

import json
import os
import signal
import subprocess
import sys

import worker_main

from tests.harness.waiting import SLOWNESS, until


class Worker:
    """One try of the task `job`. Use as a context manager: leaving kills it. `max_tries` is above the retries if it was cleared."""

    def __init__(self, daemon, folder, arguments, try_number=1, max_tries=None):
        self._output = os.path.join(str(folder), f"try-{try_number}.txt")
        environment = {**os.environ, "BOXKEEPER_TESTS_AIRFLOW_HOME": os.environ["AIRFLOW_HOME"],
                       "AIRFLOW_CONN_BOXKEEPER_DEFAULT": json.dumps({"conn_type": "boxkeeper", "host": f"unix:{daemon.socket}"})}
        with open(self._output, "wb") as output:
            self.process = subprocess.Popen([sys.executable, worker_main.__file__, json.dumps(arguments), str(try_number),
                                             str(arguments.get("retries", 0) if max_tries is None else max_tries)],
                                            env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.kill()

    def kill(self, number=signal.SIGKILL):
        """Sends a signal; after SIGKILL it is gone."""
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait(60)

    def lines(self):
        """What the sandbox has printed so far, whole lines only."""
        return [line[2:] for line in self._printed() if line.startswith("> ")]

    def _printed(self):
        with open(self._output, encoding="utf-8") as file:
            return [line[:-1] for line in file.read().splitlines(keepends=True) if line.endswith("\n")]

    def wait_for(self, line):
        """Waits until the sandbox has printed the line."""
        until(lambda: line in self.lines() or self.process.poll() is not None, f"{line!r} in {self.lines()}")
        assert line in self.lines(), self._printed()

    def wait_until_ready(self):
        """Waits until it is about to execute the operator."""
        until(lambda: any(line.startswith("READY ") for line in self._printed()), "a worker")

    def end(self):
        """Waits for its end; returns the lines of the sandbox, and the line that says how it ended."""
        self.process.wait(120 * SLOWNESS)
        last = self._printed()[-1]
        assert last.startswith(("VALUE ", "FAILED ")), self._printed()
        return self.lines(), last
