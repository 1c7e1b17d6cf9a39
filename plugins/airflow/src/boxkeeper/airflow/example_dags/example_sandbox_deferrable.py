"""No worker waits while the command runs: the triggerer does, and the task goes on when the sandbox has ended."""

from __future__ import annotations

import datetime

from airflow.sdk import DAG

from boxkeeper.airflow.operators.sandbox import SandboxOperator

with DAG("example_sandbox_deferrable", schedule=None, tags=["boxkeeper"]) as dag:
    SandboxOperator(
        task_id="long_one",
        command="for i in 1 2 3; do echo step $i; sleep 0.2; done; echo done",
        deferrable=True,
        retries=2,
        retry_delay=datetime.timedelta(minutes=1),
        execution_timeout=datetime.timedelta(hours=1),  # of the command, deferred or not
        timeout=datetime.timedelta(hours=2),  # the sandbox's own, which the daemon enforces whatever becomes of Airflow
    )
