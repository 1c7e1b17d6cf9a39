"""One command in a sandbox: its output is the task's log, its last line the XCom."""

from __future__ import annotations

from airflow.sdk import DAG

from boxkeeper.airflow.operators.sandbox import SandboxOperator

with DAG("example_sandbox_hello", schedule=None, tags=["boxkeeper"]) as dag:
    hello = SandboxOperator(
        task_id="hello",
        command="echo hello from $(uname -s); echo $GREETING",
        env={"GREETING": "{{ dag_run.conf.get('greeting', 'good day') }}"},
    )
    # A list is a program and its arguments, without a shell in between.
    again = SandboxOperator(task_id="again", command=["printf", "%s again\\n", "{{ ti.xcom_pull(task_ids='hello') }}"])
    hello >> again
