"""One task by each executor."""

import os

from airflow.sdk import dag, task
from place import leave_line


@dag(schedule=None)
def hybrid():
    @task
    def at_home():
        leave_line("at_home", "in a sandbox" if "BOXKEEPER_SANDBOX" in os.environ else "on the host")

    @task(executor="sandbox")
    def boxed():
        leave_line("boxed", "in a sandbox" if "BOXKEEPER_SANDBOX" in os.environ else "on the host")

    at_home() >> boxed()


hybrid()
