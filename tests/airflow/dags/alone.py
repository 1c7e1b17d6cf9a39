"""One task that runs until the test opens its gate."""

from airflow.sdk import dag, get_current_context, task
from place import leave_line, wait_for_pass


@dag(schedule=None)
def alone():
    @task(retries=0)
    def waits():
        attempt = get_current_context()["ti"].try_number
        leave_line("begun", attempt)
        wait_for_pass("gate")
        leave_line("ended", attempt)

    waits()


alone()
