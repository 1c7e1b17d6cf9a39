"""One task by each executor, and a command that outlives its worker."""

import os

from airflow.sdk import dag, task
from place import leave_line

from boxkeeper.airflow.operators.sandbox import SandboxOperator


@dag(schedule=None)
def hybrid():
    @task
    def at_home():
        leave_line("at_home", "in a sandbox" if "BOXKEEPER_SANDBOX" in os.environ else "on the host")

    @task(executor="sandbox")
    def boxed():
        leave_line("boxed", "in a sandbox" if "BOXKEEPER_SANDBOX" in os.environ else "on the host")

    at_home() >> boxed()
    # The shell reads its pass of the gate; one line for each time that it was begun.
    SandboxOperator(task_id="long", retries=1, retry_delay=0, sandbox_override={"workdir": "{{ dag_run.conf['place'] }}"},
                    command="echo begun >>begun; read -r pass <gate; echo ended >>ended; echo the end")


hybrid()
