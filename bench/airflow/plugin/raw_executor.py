"""The raw loop that SandboxExecutor is measured against: the same command with the same environment, by plain Popen.

An executor, as only an executor is given workloads with tokens; but the scheduler's loop is not between two tasks: each of
BENCH_PARALLELISM threads starts the next one when its process has ended. No isolation, no log, no durability, no bounds.
"""

import os
import queue
import subprocess
import tempfile
import threading

from airflow.executors.base_executor import BaseExecutor

from boxkeeper.airflow.executors.config import read_options
from boxkeeper.airflow.executors.jobs import job_of
from boxkeeper.airflow.executors.keys import Namespace


class RawExecutor(BaseExecutor):
    """Runs workloads in the order in which they come."""

    def start(self):
        """Starts the threads."""
        self._options = read_options(self.conf)
        self._folder = tempfile.mkdtemp(prefix="raw-", dir=os.environ["AIRFLOW_HOME"])
        self._waiting, self._ended = queue.SimpleQueue(), queue.SimpleQueue()
        for _ in range(int(os.environ["BENCH_PARALLELISM"])):
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self):
        while True:
            key, command, text = self._waiting.get()
            folder = tempfile.mkdtemp(dir=self._folder)
            with open(os.path.join(folder, "workload.json"), "w", encoding="utf-8") as file:
                file.write(text)
            with open(os.path.join(folder, "stdout"), "wb") as out:
                code = subprocess.call(
                    [self._options.python, *command, "workload.json"], cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                    env={"PATH": "/usr/bin:/bin", "HOME": folder, **self._options.env})
            self._ended.put((key, code))

    def _process_workloads(self, workload_items):
        for workload in workload_items:
            del self.queued_tasks[workload.ti.key]
            self.running.add(workload.ti.key)
            job = job_of(workload, Namespace("raw"), "", None, replace=False, printing=True)
            self._waiting.put((workload.ti.key, job.command, workload.model_dump_json()))

    def sync(self):
        """Tells what has ended."""
        while not self._ended.empty():
            key, code = self._ended.get()
            (self.success if code == 0 else self.fail)(key)
