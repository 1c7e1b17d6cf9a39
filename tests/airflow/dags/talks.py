"""A task that prints a line each time that the test opens its gate."""

import sys

from airflow.sdk import dag, get_current_context, task
from place import leave_line, wait_for_pass


@dag(schedule=None)
def talks():
    @task
    def speaker():
        leave_line("begun", "1")
        for number in range(get_current_context()["dag_run"].conf["lines"]):
            wait_for_pass("gate")
            print(f"line {number} of {get_current_context()['run_id']}")
            sys.stdout.flush()

    speaker()


talks()
