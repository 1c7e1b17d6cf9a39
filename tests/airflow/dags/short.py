"""One of everything that is quick: success, failure, a retry, mapped tasks, a value handed on."""

from datetime import timedelta

from airflow.sdk import dag, get_current_context, task
from place import leave_line


@dag(schedule=None)
def short():
    @task
    def number():
        print("a line of the task's own")
        leave_line("number", "ran")
        return 3

    @task(retries=1, retry_delay=timedelta(seconds=0))
    def second_try(n):
        attempt = get_current_context()["ti"].try_number
        leave_line("second_try", attempt)
        if attempt == 1:
            raise ValueError("the first try fails")
        return n + 1

    @task
    def each(n, i):
        leave_line("each", i)
        return n * i

    @task
    def total(values):
        assert sorted(values) == [0, 4, 8]
        leave_line("total", sum(values))

    @task
    def fails():
        leave_line("fails", "ran")
        raise RuntimeError("as it should")

    @task
    def after(values):
        raise AssertionError("never runs")

    four = second_try(number())
    total(each.partial(n=four).expand(i=[0, 1, 2]))
    after(fails())


short()
