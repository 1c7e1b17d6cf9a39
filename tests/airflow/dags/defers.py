"""A SandboxOperator that is deferred until the test opens the gate."""

import datetime

from airflow.sdk import DAG

from boxkeeper.airflow.operators.sandbox import SandboxOperator

with DAG("defers", schedule=None):
    SandboxOperator(task_id="job", deferrable=True, retries=2, retry_delay=datetime.timedelta(seconds=1),
                    command="cd {{ dag_run.conf.place }}; echo run >> runs; echo before; read -r pass < gate; echo after")
