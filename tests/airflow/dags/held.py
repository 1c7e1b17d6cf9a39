"""Tasks that run until the test opens their gate."""

from airflow.sdk import dag, get_current_context, task
from place import leave_line, wait_for_pass


@dag(schedule=None)
def held():
    @task(retries=0)
    def each(i):
        attempt = get_current_context()["ti"].try_number
        leave_line("begun", f"{i} {attempt}")
        wait_for_pass("gate")
        leave_line("ended", f"{i} {attempt}")

    @task
    def after(values):
        leave_line("after", "ran")

    after(each.expand(i=[0, 1, 2, 3]))


held()
