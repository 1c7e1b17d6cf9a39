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

    # Long enough for the task to begin beside five others on two processors, where interpreter and imports take 15 s.
    @task(executor_config={"sandbox_override": {"timeout": "60s"}})
    def too_long():
        leave_line("too_long", "begins")
        threading.Event().wait()

    @task(executor_config={"sandbox_override": {"memory_mb": 600}})
    def too_big():
        leave_line("too_big", "begins")
        bytearray(2 << 30)

    @task(executor_config={"sandbox_override": {"workdir": "/nowhere/to/be/found"}})
    def never_starts():
        leave_line("never_starts", "begins")

    greeted(), limited(), misspelt(), too_long(), too_big(), never_starts()


overridden()
