"""Mapped tasks: one sandbox for each item, by the operator and by a Python function."""

from __future__ import annotations

from airflow.sdk import DAG, task

from boxkeeper.airflow.operators.sandbox import SandboxOperator

with DAG("example_sandbox_mapped", schedule=None, tags=["boxkeeper"]) as dag:
    SandboxOperator.partial(task_id="squares", memory_mb=128).expand(command=[f"echo $(({n} * {n}))" for n in range(3)])

    @task.sandbox(memory_mb=128)
    def cube(n):
        """Runs where there is no Airflow: it imports what it needs, and arguments and result travel as JSON."""
        import platform

        print("cubing", n, "with Python", platform.python_version())
        return {"n": n, "cube": n**3}

    @task
    def total(cubes):
        return sum(one["cube"] for one in cubes)

    total(cube.expand(n=[1, 2, 3]))
