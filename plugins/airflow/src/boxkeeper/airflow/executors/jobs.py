"""From Airflow's workloads, which differ between its versions, to one Job."""

from __future__ import annotations

import uuid
from typing import Any, Optional

from airflow.executors import workloads
from airflow.executors.base_executor import BaseExecutor
from airflow.utils.state import TaskInstanceState

from boxkeeper.airflow.executors.keys import Namespace
from boxkeeper.airflow.executors.task_spec import Job

_RUN = ("-m", "airflow.sdk.execution_time.execute_workload", "--json-path")
# The runner prints what the task's process says; what it says of the task itself (killed by a signal, stopped by the server) goes
# to its log file alone. Told to keep none, it prints all of it, each record once.
_RUN_PRINTING = ("-c", """
from airflow.sdk.execution_time import execute_workload, supervisor

def printing(supervise):
    return lambda **given: supervise(**{**given, 'log_path': None, 'subprocess_logs_to_stdout': False})

for name in ('supervise_task', 'supervise'):
    if hasattr(supervisor, name):
        setattr(supervisor, name, printing(getattr(supervisor, name)))
execute_workload.main()
""", "--json-path")
# Airflow 3.2 queues callbacks to executors, but its execute_workload takes only tasks: this does what its LocalExecutor does.
_RUN_CALLBACK = ("-c", """
import sys, pydantic, structlog
from airflow.executors import workloads
from airflow.executors.workloads.callback import execute_callback_workload
with open(sys.argv[1]) as file:
    workload = pydantic.TypeAdapter(workloads.ExecuteCallback).validate_json(file.read())
done, error = execute_callback_workload(workload.callback, structlog.get_logger())
sys.exit(0 if done else str(error))
""",)


def key_of(workload: Any) -> Any:
    """The key under which Airflow keeps the workload; None: a kind that cannot be run here."""
    if isinstance(workload, workloads.ExecuteTask):
        return workload.ti.key
    callback = getattr(workloads, "ExecuteCallback", None)
    if callback is not None and isinstance(workload, callback):
        return getattr(workload, "key", None) or workload.callback.id
    return None


def is_task(key: Any) -> bool:
    """Whether a key of Airflow's is a task instance's; else it is a callback's."""
    return hasattr(key, "dag_id") and hasattr(key, "try_number")


def state_of(key: Any, name: str) -> Any:
    """A task's or a callback's state of this name."""
    if is_task(key):
        return TaskInstanceState[name]
    from airflow.utils.state import CallbackState

    return CallbackState[name]


def submission_id_of(workload: Any) -> str:
    """The id that Airflow gave this enqueueing (3.2 and later), or a new one."""
    given = getattr(getattr(workload, "ti", None), "external_executor_id", None)
    try:
        return str(uuid.UUID(str(given)))
    except ValueError:
        return str(uuid.uuid4())


def job_of(workload: Any, namespace: Namespace, submission_id: str, execution_timeout: Optional[float], replace: bool,
           printing: bool = False) -> Job:
    """What is to be run. `execution_timeout` in seconds; `replace`: see Job; `printing`: standard output is the task's log."""
    task = isinstance(workload, workloads.ExecuteTask)
    if task:
        labels = {"airflow/ti_id": str(workload.ti.id), "airflow/dag_id": workload.ti.dag_id, "airflow/task_id": workload.ti.task_id}
    else:
        labels = {"airflow/callback_id": str(workload.callback.id)}
    return Job(
        key=namespace.of_task(workload.ti.key) if task else namespace.of_callback(str(workload.callback.id)),
        submission_id=submission_id,
        payload=workload.model_dump_json().encode(),
        command=_RUN_PRINTING if task and printing else _RUN if task or hasattr(BaseExecutor, "run_workload") else _RUN_CALLBACK,
        token=workload.token,
        log_path=workload.log_path or "",
        priority=workload.ti.priority_weight if task else 1_000_000,
        executor_config=workload.ti.executor_config if task else None,
        labels=labels,
        execution_timeout=execution_timeout,
        replace=replace,
        hide_token=bool(workloads.ExecuteTask.model_fields["token"].repr),  # before 3.2 the runner logs the workload as a whole
    )
