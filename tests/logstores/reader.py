"""A scheduler's own log reader as a process that is asked."""

import json
import os
import subprocess

from tests.harness import reader_venv

_HERE = os.path.dirname(os.path.abspath(__file__))


class Reader:
    """A reader's process: one question, one answer."""

    def __init__(self, server, script, *arguments):
        host = server.endpoint.partition("://")[2]
        environment = {
            **server.environment(), "PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": server.region,
            "AIRFLOW_HOME": os.path.join(server.folder, "airflow"), "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": "s3",
            "AIRFLOW_CONN_S3": json.dumps({"conn_type": "aws", "login": server.access_key, "password": server.secret_key, "extra": {
                "endpoint_url": f"http://{host}", "region_name": server.region, "config_kwargs": {"s3": {"addressing_style": "path"}}}}),
            "METAFLOW_S3_ENDPOINT_URL": f"http://{host}", "METAFLOW_USER": "tester",
        }
        self._errors = open(os.path.join(server.folder, os.path.basename(script) + ".log"), "wb")
        self._process = subprocess.Popen([reader_venv.python(), os.path.join(_HERE, script), *arguments], env=environment, cwd=server.folder,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._errors.close()

    def ask(self, question, live=None):
        """The answer to it. `live()` is what the reader hears when it asks the executor for the rest of a log."""
        answer = self._send(question)
        while live and answer == {"get_task_log": None}:
            answer = self._send(live())
        return answer

    def _send(self, message):
        print(json.dumps(message), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            with open(self._errors.name, encoding="utf-8") as errors:
                raise AssertionError(errors.read()[-4000:])
        return json.loads(answer)
