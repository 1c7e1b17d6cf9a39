"""What only Airflow's own task runner can show: timeouts, retries, skips, several XComs, rendered fields. By test_dag.py."""

import datetime

from airflow.sdk import DAG, task

from boxkeeper.airflow.operators.sandbox import SandboxOperator

SECOND = datetime.timedelta(seconds=1)
SECRETS = {"BY_TEMPLATE": "{{ conn.kept.password }}", "BY_NAME": {"connection": "kept"}, "BY_VARIABLE": {"variable": "kept"}}

with DAG("scenarios", schedule=None) as dag:
    SandboxOperator(task_id="times_out", command="echo begun; sleep 1000", execution_timeout=2 * SECOND)
    SandboxOperator(task_id="times_out_deferred", command="echo begun; sleep 1000", execution_timeout=2 * SECOND, deferrable=True)
    SandboxOperator(task_id="retried", command="echo try $TRY; test $TRY = 2", env={"TRY": "{{ ti.try_number }}"}, retries=1,
                    retry_delay=datetime.timedelta(0))
    SandboxOperator(task_id="refused", command="true", sandbox_override={"imag": "x"}, retries=3)
    SandboxOperator(task_id="skipped", command="exit 99", skip_on_exit_code=99)
    SandboxOperator(task_id="deferred_fails", command="echo the reason; exit 4", deferrable=True)
    SandboxOperator.partial(task_id="secret", secrets=SECRETS).expand(
        command=["echo $BY_TEMPLATE", "echo $BY_NAME", "echo $BY_VARIABLE >&2; echo $BY_VARIABLE | tr a-z A-Z"])
    SandboxOperator(task_id="secret_file", command="cp key r.txt; wc -c < key", secret_files={"key": "{{ conn.kept.password }}"},
                    xcom_file="r.txt", deferrable=True)

    @task.sandbox
    def several() -> dict:
        return {"one": 1, "two": {"deep": [2]}}

    @task.sandbox(env={"SUM_OF": "{{ params.numbers }}"}, params={"numbers": "1 2 3"})
    def plain(one, many, two=None):
        import os

        return [one, sorted(many), two, sum(map(int, os.environ["SUM_OF"].split()))]

    @task.sandbox
    def doubled(n):
        return 2 * n

    values = several()
    plain(values["one"], doubled.expand(n=[3, 1, 2]), two=values["two"])
