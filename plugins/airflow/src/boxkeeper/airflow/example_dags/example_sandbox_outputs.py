"""Files in, files out: what goes on as XCom, and what stays at the daemon until somebody reads it."""

from __future__ import annotations

from airflow.sdk import DAG, XComArg, task

from boxkeeper.airflow.operators.sandbox import SandboxOperator

REPORT = """
import collections, json, pathlib
words = pathlib.Path("words.txt").read_text().split()
pathlib.Path("dist").mkdir()
for word, count in collections.Counter(words).items():
    pathlib.Path("dist", word + ".txt").write_text("%s %d\\n" % (word, count))
json.dump({"words": len(words), "different": len(set(words))}, open("report.json", "w"))
"""

with DAG("example_sandbox_outputs", schedule=None, tags=["boxkeeper"]) as dag:
    count = SandboxOperator(
        task_id="count",
        script=REPORT,
        script_lang="python",
        files={"words.txt": "{{ dag_run.conf.get('text', 'to be or not to be') }}"},
        xcom_file="report.json",  # the XCom, as JSON
        outputs=["dist"],  # kept by the daemon, listed in the XCom `outputs`
    )

    @task
    def read(report, outputs):
        """Reads one of the files, on the worker, from the daemon."""
        from boxkeeper.airflow.commands.results import read_output
        from boxkeeper.airflow.hooks.sandbox import SandboxHook

        (entry,) = [entry for entry in outputs if entry["path"] == "dist/be.txt"]
        with SandboxHook().get_conn() as client:
            content = read_output(client, entry).decode()
        return f"{report['different']} different words of {report['words']}; {content.strip()}"

    read(count.output, XComArg(count, key="outputs"))
