"""A whole Airflow in a temporary folder: API server, scheduler(s), DAG processor and triggerer as processes, one database."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile

from tests.airflow.stand.rest import Rest
from tests.harness import airflow_venv, processes
from tests.harness.servers import free_port
from tests.harness.waiting import SLOWNESS, until

_DAGS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "dags")
_MODULES = ("place.py", "late.py")  # what the DAGs import
_START_SECONDS = 120  # four interpreters that import Airflow at once, on a machine that builds beside


class Components:
    """Use as a context manager: leaving ends every process and removes the folder, unless BOXKEEPER_KEEP is set.

    `settings`: {"SECTION__KEY": value} for all processes, e.g. {"CORE__EXECUTOR": "LocalExecutor"}.
    `environment`: further variables. `dags`: ids of DAGs of tests/airflow/dags, each in
    a file of its name. `database`: SQLAlchemy URL of an empty one; SQLite in the folder without. `version`: of Airflow."""

    def __init__(self, dags, settings=None, environment=None, database="", triggerer=False, version=airflow_venv.VERSION):
        self.venv = airflow_venv.folder(version)
        self.python = os.path.join(self.venv, "bin", "python")
        template = airflow_venv.database(version)
        self.folder = tempfile.mkdtemp(prefix="bk-airflow-", dir="/tmp")
        os.chmod(self.folder, 0o755)
        self.home, self.dags, self.place = (os.path.join(self.folder, name) for name in ("home", "dags", "place"))
        for path in (self.home, self.dags, self.place):
            os.mkdir(path, 0o755)
        os.chmod(self.place, 0o777)  # where tasks of whatever user leave lines
        for name in (*(f"{dag}.py" for dag in dags), *_MODULES):
            shutil.copy(os.path.join(_DAGS, name), self.dags)
        if not database:
            shutil.copy(template, os.path.join(self.home, "airflow.db"))
        self.port = free_port()
        self.rest = Rest(f"http://127.0.0.1:{self.port}")
        self.triggerer = triggerer
        self._dag_ids = set(dags)
        self.environment = {**self._base(database), **(environment or {})}
        self.configure(settings or {})
        self.processes = {}

    def configure(self, settings):
        """Sets {"SECTION__KEY": value} for all processes that are started from now on."""
        self.environment.update({f"AIRFLOW__{key}": str(value) for key, value in settings.items()})

    def _base(self, database):
        """Quick to notice everything, quiet, and nothing of this machine's own."""
        settings = {
            "CORE__DAGS_FOLDER": self.dags, "CORE__LOAD_EXAMPLES": "False", "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self.port}/execution/", "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "CORE__PARALLELISM": "8", "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "1", "CORE__MAX_ACTIVE_TASKS_PER_DAG": "64",
            "CORE__MAX_ACTIVE_RUNS_PER_DAG": "64",
            "API__HOST": "127.0.0.1", "API__PORT": str(self.port), "API__WORKERS": "1", "API__SECRET_KEY": secrets.token_hex(16),
            "API__BASE_URL": f"http://127.0.0.1:{self.port}", "API_AUTH__JWT_SECRET": secrets.token_hex(32), "API_AUTH__JWT_ISSUER": "stand",
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1", "SCHEDULER__JOB_HEARTBEAT_SEC": "1", "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "SCHEDULER__USE_JOB_SCHEDULE": "False", "SCHEDULER__MAX_TIS_PER_QUERY": "64",
            "DAG_PROCESSOR__REFRESH_INTERVAL": "5", "DAG_PROCESSOR__PARSING_PROCESSES": "2", "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
            "LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()), "LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "LOGGING__COLORED_CONSOLE_LOG": "False", "USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        if database:
            settings["DATABASE__SQL_ALCHEMY_CONN"] = database
        return {"PATH": f"{self.venv}/bin:/usr/bin:/bin", "HOME": self.folder, "AIRFLOW_HOME": self.home, "PYTHONUNBUFFERED": "1",
                "TZ": "UTC", "no_proxy": "127.0.0.1,localhost", **{f"AIRFLOW__{key}": value for key, value in settings.items()}}

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.close()

    def run_python(self, script, seconds=180):
        """Runs Python text in Airflow's environment with the DAGs' folder on its path; returns what it printed. Fails if it does."""
        done = subprocess.run([self.python, "-c", script], env={**self.environment, "PYTHONPATH": self.dags}, cwd=self.folder,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds * SLOWNESS, check=False)
        assert done.returncode == 0, f"{done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def launch(self, name, *arguments, **environment):
        """Starts a process whose log is `log_text(name)`, without waiting for anything."""
        with open(self._log_file(name), "ab") as log:
            self.processes[name] = subprocess.Popen([self.python, "-m", "airflow", *arguments], env={**self.environment, **environment},
                                                    cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        return self.processes[name]

    def launch_scheduler(self, name="scheduler"):
        """Another life, or with another name another one."""
        return self.launch(name, "scheduler")

    def start(self):
        """Starts everything at once and waits until the API server answers and every DAG is known; returns self."""
        if "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in self.environment:
            self.run_python("from airflow.utils.db import initdb; initdb()")
        self.launch("api-server", "api-server")
        self.launch("dag-processor", "dag-processor")
        self.launch_scheduler()
        if self.triggerer:
            self.launch("triggerer", "triggerer")
        def ready():
            self.check()
            health = self.rest.serves()
            if not health or health["scheduler"]["status"] != "healthy":
                return False
            assert not self.rest.import_errors()
            return self._dag_ids <= self.rest.dag_ids()

        until(ready, f"an Airflow with {sorted(self._dag_ids)}", _START_SECONDS, 0.2)
        return self

    def check(self):
        """Fails if a process has left by itself."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise AssertionError(f"{name} left with {process.returncode}:\n{self.log_text(name)[-4000:]}")

    def kill(self, name, number=signal.SIGKILL):
        """Ends a process (not its children) and forgets it."""
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(60 * SLOWNESS)

    def _log_file(self, name):
        return os.path.join(self.folder, f"{name}.log")

    def log_text(self, name):
        """What a process has printed, over all its lives."""
        with open(self._log_file(name), encoding="utf-8", errors="replace") as file:
            return file.read()

    def close(self):
        """Ends all processes, with their children, and removes the folder."""
        processes.kill_all_of(self.folder)
        for process in self.processes.values():
            process.wait(60)
        if not os.environ.get("BOXKEEPER_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)


def s3_logging(server, folder):
    """(settings, environment) by which Airflow keeps its task logs on an S3 server of tests/harness, below `folder`."""
    connection = {"conn_type": "aws", "login": server.access_key, "password": server.secret_key,
                  "extra": {"endpoint_url": server.endpoint, "region_name": server.region}}
    settings = {"LOGGING__REMOTE_LOGGING": "True", "LOGGING__REMOTE_BASE_LOG_FOLDER": f"s3://{server.bucket}/{folder}",
                "LOGGING__REMOTE_LOG_CONN_ID": "aws_default"}
    return settings, {"AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection)}
