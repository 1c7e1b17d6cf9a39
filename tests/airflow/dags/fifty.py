"""Fifty mapped instances of one task, each of which leaves a line, and one that counts them."""

from airflow.sdk import dag, task
from place import leave_line


@dag(schedule=None)
def fifty():
    @task
    def each(i):
        leave_line("each", i)
        return i

    @task
    def total(values):
        leave_line("total", sum(values))

    total(each.expand(i=list(range(50))))


fifty()
