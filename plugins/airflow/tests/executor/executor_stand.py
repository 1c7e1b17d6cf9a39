"""Executors against a real daemon, without scheduler, database and api-server: the test plays the scheduler."""

import base64
import datetime
import json
import os
import time
import uuid
from types import SimpleNamespace
from unittest import mock

from airflow.executors import workloads
from airflow.utils.state import TaskInstanceState

from boxkeeper.airflow.executors.sandbox_executor import SandboxExecutor
from tests.harness.waiting import SLOWNESS, until

RUNNER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "workload_runner.py")


def token(expires_in=600.0):
    """A JWT that nobody signed: the executor only looks when it expires."""
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return ".".join((part({"alg": "none"}), part({"exp": time.time() + expires_in, "jti": uuid.uuid4().hex}), "c2ln"))


def make_workload(task_id, *, try_number=1, map_index=-1, config=None, priority=1, expires_in=600.0, external_id=None, ti_id=None):
    """An ExecuteTask as this version's scheduler would make it."""
    ti = {
        "id": ti_id or str(uuid.uuid4()), "dag_version_id": str(uuid.uuid4()), "task_id": task_id, "dag_id": "dag", "run_id": "run",
        "try_number": try_number, "map_index": map_index, "pool_slots": 1, "queue": "default", "priority_weight": priority,
        "executor_config": config, "external_executor_id": external_id,
    }
    mapped = f"map_index={map_index}/" if map_index >= 0 else ""
    return workloads.ExecuteTask.model_validate({
        "token": token(expires_in), "dag_rel_path": "dag.py", "bundle_info": {"name": "dags-folder", "version": None},
        "log_path": f"dag_id=dag/run_id=run/task_id={task_id}/{mapped}attempt={try_number}.log", "ti": ti,
    })


def instance(workload, state=TaskInstanceState.RUNNING, *, external_id=None, queued_at=None, job_id=None):
    """The task instance of a workload, as far as the executor looks at one."""
    ti = workload.ti
    return SimpleNamespace(
        id=ti.id, key=ti.key, dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, map_index=ti.map_index,
        try_number=ti.try_number, state=state, external_executor_id=external_id, queued_by_job_id=job_id,
        queued_dttm=queued_at or datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1))


class Stand:
    """One folder; `executor` makes started executors, `heartbeat_until` plays the scheduler's loop."""

    def __init__(self, folder):
        self.folder = folder
        self._executors = []
        self.events = []  # (key, state, info), as the scheduler would have read them

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        for executor in self._executors:
            executor.end()

    def executor(self, address, *, job_id=1, parallelism=32, start=True, **options):
        """An executor with [boxkeeper] set to `options`."""
        values = {
            "address": address, "python": RUNNER, "env": json.dumps({"TEST_FOLDER": self.folder, "PATH": os.environ["PATH"]}),
            "capacity_interval": "0.2", **options}
        environment = {f"AIRFLOW__BOXKEEPER__{name.upper()}": str(value) for name, value in values.items()}
        executor = SandboxExecutor(parallelism=parallelism)
        executor.job_id = job_id
        self._executors.append(executor)
        with mock.patch.dict(os.environ, environment):
            if start:
                executor.start()
        return executor

    @staticmethod
    def task_log(executor, where, ti, try_number):
        """get_task_log as the api-server calls it."""
        with mock.patch.dict(os.environ, {"AIRFLOW__BOXKEEPER__ADDRESS": where}):
            return executor.get_task_log(ti, try_number)

    def queue(self, executor, *items):
        """As the scheduler's critical section does."""
        for item in items:
            executor.queue_workload(item, session=None)

    def beat(self, executor):
        """One turn of the scheduler's loop for one executor; returns how long its heartbeat took."""
        began = time.monotonic()
        executor.heartbeat()
        took = time.monotonic() - began
        self.events += [(key, str(getattr(state, "value", state)), info) for key, (state, info) in executor.get_event_buffer().items()]
        return took

    def beat_until(self, executor, condition, what, seconds=30):
        """Turns until the condition holds."""
        def turn():
            self.beat(executor)
            return condition()

        return until(turn, what, seconds)

    def ends(self, key=None):
        """Final states that were told, of one key or all."""
        return [(k, state, info) for k, state, info in self.events if state in ("success", "failed") and key in (None, k)]

    def end_of(self, executor, item, seconds=30):
        """Turns until the workload's end is told; (state, info)."""
        self.beat_until(executor, lambda: self.ends(item.ti.key), f"the end of {item.ti.task_id}", seconds)
        (_, state, info), = self.ends(item.ti.key)
        return state, info

    def beat_for(self, executor, seconds):
        """Turns for a while: where nothing is to happen."""
        end = time.monotonic() + seconds * SLOWNESS
        self.beat_until(executor, lambda: time.monotonic() > end, "the time is over", seconds + 5)

    def started(self, executor, name, seconds=30):
        """Turns until the task wait_NAME runs; its process id."""
        path = os.path.join(self.folder, name + ".started")
        self.beat_until(executor, lambda: os.path.exists(path) and os.path.getsize(path), f"{name} runs", seconds)
        with open(path, encoding="utf-8") as file:
            return int(file.read())

    def go(self, name):
        """Lets wait_NAME end."""
        with open(os.path.join(self.folder, name + ".go"), "w", encoding="utf-8"):
            pass

    def runs(self):
        """One line for each time that user code began."""
        try:
            with open(os.path.join(self.folder, "runs"), encoding="utf-8") as file:
                return [line.split() for line in file]
        except FileNotFoundError:
            return []


def address(daemon):
    """Where the executor finds a daemon of the tests."""
    return f"unix:{daemon.socket}"


def gone(pid):
    """Whether a process is not there any more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


__all__ = ["RUNNER", "Stand", "address", "gone", "instance", "make_workload", "token", "until"]
