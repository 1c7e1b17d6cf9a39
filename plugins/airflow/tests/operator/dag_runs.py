"""DAGs run by dag.test() in processes of their own, with a database of their own and this interpreter's Airflow."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import dag_main
from airflow import __version__ as VERSION
from conftest import ROOT

from tests.harness import airflow_venv
from tests.harness.waiting import SLOWNESS

EXAMPLES = os.path.join(ROOT, "plugins", "airflow", "src", "boxkeeper", "airflow", "example_dags")
DAGS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "dags")
_SECONDS = 240


@dataclasses.dataclass
class Result:
    """Of one run: states, XComs and rendered fields by task (mapped ones as name[index]), and all that the process printed."""

    run: str
    states: dict
    xcoms: dict
    fields: dict
    output: str

    @property
    def values(self):
        """The pushed return value of each task that has one."""
        return {task: pushed["return_value"] for task, pushed in self.xcoms.items() if "return_value" in pushed}


class Home:
    """An AIRFLOW_HOME in `folder`, whose connection boxkeeper_default is `daemon`."""

    def __init__(self, folder, daemon, **environment):
        self.folder = str(folder)
        shutil.copy(airflow_venv.database(VERSION), os.path.join(self.folder, "airflow.db"))
        dags = os.path.join(self.folder, "dags")
        os.makedirs(dags, exist_ok=True)
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": self.folder, "AIRFLOW_HOME": self.folder, "PYTHONPATH": os.pathsep.join([ROOT]),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.folder}/airflow.db", "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": dags, "TZ": "UTC", "no_proxy": "127.0.0.1,localhost", "PYTHONWARNINGS": "ignore",
            "AIRFLOW_CONN_BOXKEEPER_DEFAULT": json.dumps({"conn_type": "boxkeeper", "host": f"unix:{daemon.socket}"}), **environment}

    def launch(self, file, dag_id, conf=None, logical_date=None):
        """Starts a run; returns its process. The file is copied to the DAGs' folder: dag.test() looks there."""
        path = shutil.copy(file, os.path.join(self.folder, "dags"))
        dates = [logical_date] if logical_date else []
        with open(self._output(), "wb") as output:
            return subprocess.Popen([sys.executable, dag_main.__file__, path, dag_id, json.dumps(conf or {}), *dates],
                                    env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def run(self, file, dag_id, conf=None, logical_date=None):
        """Runs a DAG to its end."""
        process = self.launch(file, dag_id, conf, logical_date)
        try:
            process.wait(_SECONDS * SLOWNESS)
        finally:
            process.kill()
        return self.result()

    def output(self):
        """What the latest run has printed so far."""
        with open(self._output(), encoding="utf-8", errors="replace") as file:
            return file.read()

    def result(self):
        """Of the latest run, which has ended."""
        output = self.output()
        for line in reversed(output.splitlines()):
            if line.startswith(dag_main.MARK):
                return Result(output=output.replace(line, ""), **json.loads(line[len(dag_main.MARK):]))
        raise AssertionError(f"the run has no result:\n{output[-6000:]}")

    def _output(self):
        return os.path.join(self.folder, "output.txt")
