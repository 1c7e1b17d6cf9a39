"""As many mapped instances of a task that does nothing as the run's `conf` says: what bench/airflow measures."""

from airflow.sdk import dag, get_current_context, task


@dag(schedule=None, max_active_tasks=1000)
def trivial():
    @task
    def numbers():
        return list(range(get_current_context()["dag_run"].conf["count"]))

    @task
    def each(i):
        pass

    each.expand(i=numbers())


trivial()
