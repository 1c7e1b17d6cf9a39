"""Tasks with a sandbox of their own wishes."""

import os
import threading

from airflow.sdk import dag, task
from place import leave_line


@dag(schedule=None)
def overridden():
    @task(executor_config={"sandbox_override": {"env": {"GREETING": "from the sandbox"}}})
    def greeted():
        leave_line("greeted", os.environ.get("GREETING", "nothing"))

    @task(executor_config={"sandbox_override": {"memory_mb": 3000}})
    def limited():
        leave_line("limited", "ran")

    @task(executor_config={"sandbox_override": {"memory_bm": 3000}})
    def misspelt():
        leave_line("misspelt", "ran")

    @task(executor_config={"sandbox_override": {"timeout": "15s"}})
    def too_long():
        leave_line("too_long", "begins")
        threading.Event().wait()

    greeted(), limited(), misspelt(), too_long()


overridden()
