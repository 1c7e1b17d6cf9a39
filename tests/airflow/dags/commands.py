"""Commands in sandboxes, from an Airflow with an ordinary executor: every kind once."""

from airflow.sdk import dag, get_current_context, task
from place import leave_line

from boxkeeper.airflow.operators.sandbox import SandboxOperator


@dag(schedule=None)
def commands():
    said = SandboxOperator(task_id="said", command="echo a line of $WHO; echo the last of {{ dag.dag_id }}", env={"WHO": "{{ ti.task_id }}"})
    listed = SandboxOperator(task_id="listed", command=["sh", "-c", "printf '[1, 2, 3]' >result.json"], outputs=["result.json"],
                             xcom_file="result.json")
    deferred = SandboxOperator(task_id="deferred", command="echo from far away", deferrable=True)
    exits = SandboxOperator(task_id="exits", command="echo what went wrong >&2; exit 3")

    @task.sandbox
    def product(values):
        import math
        import os

        assert os.environ["BOXKEEPER_SANDBOX"]
        return {"product": math.prod(values)}

    @task
    def told(result):
        ti = get_current_context()["ti"]
        for name in ("said", "deferred"):
            leave_line("told", f"{name}: {ti.xcom_pull(task_ids=name)}")
        leave_line("told", f"product: {result}")

    @task(trigger_rule="all_done")
    def after():
        leave_line("after", "ran")

    [said, deferred] >> told(product(listed.output))
    exits >> after()


commands()
