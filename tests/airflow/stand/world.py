"""An Airflow, an S3 server for its logs and, unless its tasks run by LocalExecutor, a daemon."""

import contextlib
import json
import os

from tests.airflow.stand.components import Components, s3_logging
from tests.harness import s3_servers
from tests.harness.abilities import why_no_bubblewrap
from tests.harness.client import end
from tests.harness.daemon import Daemon, merge
from tests.harness.gate import Gate
from tests.harness.waiting import until

SANDBOX_EXECUTOR = "boxkeeper.airflow.executors.sandbox_executor.SandboxExecutor"
_EXECUTORS = {"local": "LocalExecutor", "sandbox": SANDBOX_EXECUTOR, "hybrid": f"LocalExecutor,sandbox:{SANDBOX_EXECUTOR}"}
_LOG_FOLDER = "logs"
# Where an isolated task finds what it needs of this host.
_VENV, _DAGS, _PLACE = "/opt/airflow", "/opt/dags", "/opt/place"


class World:
    """Use as a context manager: entering starts everything, leaving ends and removes it.

    `dags`: ids; `executor`: local, sandbox, or hybrid (LocalExecutor unless a task asks for "sandbox"); `isolation`: of the
    daemon's local provider, bubblewrap where this machine has it; `settings`: as for Components, after those that the executor
    needs; `environment`: further variables of Airflow's processes; `daemon`: merged over the daemon's configuration."""

    def __init__(self, dags, executor="sandbox", isolation="", settings=None, environment=None, daemon=None, **options):
        self.executor = executor
        self.isolation = isolation or ("none" if why_no_bubblewrap() else "bubblewrap")
        self._dags, self._settings, self._environment = dags, settings or {}, environment or {}
        self._daemon_config, self._options = daemon or {}, options
        self._stack = contextlib.ExitStack()
        self.store = self.airflow = self.rest = self.daemon = None

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.store = stack.enter_context(s3_servers.any_server())
            settings, environment = s3_logging(self.store, _LOG_FOLDER)
            settings["CORE__EXECUTOR"] = _EXECUTORS[self.executor]
            self.airflow = stack.enter_context(Components(self._dags, settings, {**environment, **self._environment}, **self._options))
            self.rest = self.airflow.rest
            if self.executor != "local":
                self.daemon = stack.enter_context(Daemon(self._daemon_settings(), environment=self.store.environment()))
                self.daemon.start()
                self.airflow.configure(self._executor_settings())
                connection = {"conn_type": "boxkeeper", "host": f"unix:{self.daemon.socket}"}
                self.airflow.environment["AIRFLOW_CONN_BOXKEEPER_DEFAULT"] = json.dumps(connection)
            self.airflow.configure(self._settings)
            self.airflow.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *failure):
        self._stack.__exit__(*failure)

    def _daemon_settings(self):
        local = {"isolation": self.isolation, "allow_network": ["none", "host"], "allow_host_paths": [self.airflow.venv, self.airflow.folder]}
        # Stored as often as by default: a live log has its last lines from the daemon, the others from the store.
        logs = {"url": f"s3://{self.store.bucket}/{_LOG_FOLDER}", "s3": {"endpoint": self.store.endpoint, "path_style": True},
                "flush_interval": None, "flush_interval_max": None}
        return merge({"providers": {"local": local}, "logs": logs}, self._daemon_config)

    def _executor_settings(self):
        """What a user writes into [boxkeeper], and no more."""
        settings = {"BOXKEEPER__ADDRESS": f"unix:{self.daemon.socket}"}
        if self.isolation == "none":
            return {**settings, "BOXKEEPER__PYTHON": self.airflow.python}
        volumes = [f"{self.airflow.venv}:{_VENV}:ro", f"{self.airflow.dags}:{_DAGS}:ro", f"{self.airflow.place}:{_PLACE}:rw"]
        return {**settings, "BOXKEEPER__PYTHON": f"{_VENV}/bin/python", "BOXKEEPER__AIRFLOW_HOME": "none",
                "BOXKEEPER__ENV": json.dumps({"AIRFLOW__CORE__DAGS_FOLDER": _DAGS}),
                "BOXKEEPER__OVERRIDES": json.dumps({"network": "host", "volumes": volumes})}

    def new_place(self, name):
        """A folder for one run's lines and gates; what tasks may write to."""
        path = os.path.join(self.airflow.place, name)
        os.mkdir(path)
        os.chmod(path, 0o777)
        return path

    def trigger(self, dag_id, place, **conf):
        """Starts a run whose tasks find the folder `place` (of new_place); returns its id."""
        inside = self.executor == "sandbox" and self.isolation != "none"
        return self.rest.trigger(dag_id, place=place.replace(self.airflow.place, _PLACE) if inside else place, **conf)

    def tasks(self, dag_id, run_id, name=""):
        """The daemon's tasks for a run (for a task id of it), oldest first."""
        found = self.daemon.client.list(key_prefix=f"airflow/TASK/{dag_id}/{run_id}/{name}")
        return sorted(found, key=lambda task: task.generation)

    def ends(self, dag_id, run_id, name=""):
        """How they ended: state/reason, oldest first. Waits for their ends: Airflow knows a task's state some seconds before the
        runner has left the sandbox."""
        tasks = self.tasks(dag_id, run_id, name)
        return ["/".join(end(task)[:2]) for task in (self.daemon.client.wait_all([task.id for task in tasks]) if tasks else [])]

    def wait_until_no_sandbox(self, seconds=60):
        """Waits until no supervisor of a task is left on this host."""
        until(lambda: not self.daemon.supervisor_pids(), "no supervisor left", seconds)

    def gate(self, place):
        """The gate that tasks of a place wait at; made before they ask for it."""
        gate = Gate(place)
        os.chmod(gate.path, 0o666)
        return gate


def lines(place, name):
    """Lines that tasks have left in the file `name` of a place, sorted: one write each, so whole."""
    path = os.path.join(place, name)
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return sorted(file.read().splitlines())
