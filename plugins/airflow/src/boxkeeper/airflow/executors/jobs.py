"""From Airflow's workloads, which differ between its versions, to one Job."""

from __future__ import annotations

from typing import Any, Optional

from airflow.executors import workloads
from airflow.executors.base_executor import BaseExecutor

from boxkeeper.airflow.executors.keys import Namespace
from boxkeeper.airflow.executors.task_spec import WORKLOAD_FILE, Job

_RUN = ("-m", "airflow.sdk.execution_time.execute_workload", "--json-path", WORKLOAD_FILE)
# Airflow 3.2 queues callbacks to executors, but its execute_workload takes only tasks: this does what its LocalExecutor does.
_RUN_CALLBACK = ("-c", """
import sys, pydantic, structlog
from airflow.executors import workloads
from airflow.executors.workloads.callback import execute_callback_workload
with open(sys.argv[1]) as file:
    workload = pydantic.TypeAdapter(workloads.ExecuteCallback).validate_json(file.read())
done, error = execute_callback_workload(workload.callback, structlog.get_logger())
sys.exit(0 if done else str(error))
""", WORKLOAD_FILE)


def key_of(workload: Any) -> Any:
    """The key under which Airflow keeps the workload; None: a kind that cannot be run here."""
    if isinstance(workload, workloads.ExecuteTask):
        return workload.ti.key
    callback = getattr(workloads, "ExecuteCallback", None)
    if callback is not None and isinstance(workload, callback):
        return getattr(workload, "key", None) or workload.callback.id
    return None


def job_of(workload: Any, namespace: Namespace, submission_id: str, execution_timeout: Optional[float], replace: bool) -> Job:
    """What is to be run. `execution_timeout` in seconds; `replace`: see Job."""
    is_task = isinstance(workload, workloads.ExecuteTask)
    if is_task:
        labels = {"airflow/ti_id": str(workload.ti.id), "airflow/dag_id": workload.ti.dag_id, "airflow/task_id": workload.ti.task_id}
    else:
        labels = {"airflow/callback_id": str(workload.callback.id)}
    return Job(
        key=namespace.of_task(workload.ti.key) if is_task else namespace.of_callback(str(workload.callback.id)),
        submission_id=submission_id,
        payload=workload.model_dump_json().encode(),
        command=_RUN if is_task or hasattr(BaseExecutor, "run_workload") else _RUN_CALLBACK,
        token=workload.token,
        log_path=workload.log_path or "",
        priority=workload.ti.priority_weight if is_task else 1_000_000,
        executor_config=workload.ti.executor_config if is_task else None,
        labels=labels,
        execution_timeout=execution_timeout,
        replace=replace,
        hide_token=bool(workloads.ExecuteTask.model_fields["token"].repr),  # before 3.2 the runner logs the workload as a whole
    )
