"""A SandboxOperator whose worker follows the sandbox until the test opens the gate."""

import datetime

from airflow.sdk import DAG

from boxkeeper.airflow.operators.sandbox import SandboxOperator

with DAG("follows", schedule=None):
    SandboxOperator(task_id="job", retries=2, retry_delay=datetime.timedelta(seconds=1),
                    command="cd {{ dag_run.conf.place }}; echo run >> runs; echo before; read -r pass < gate; echo after")
