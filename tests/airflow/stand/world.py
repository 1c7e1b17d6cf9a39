"""An Airflow, an S3 server for its logs and, unless its tasks run by LocalExecutor, a daemon."""

import contextlib
import os

from tests.airflow.stand.components import Components, s3_logging
from tests.harness import s3_servers
from tests.harness.gate import Gate

_LOG_FOLDER = "logs"


class World:
    """Use as a context manager: entering starts everything, leaving ends and removes it.

    `dags`: ids; `settings`: as for Components, after those that the executor needs."""

    def __init__(self, dags, executor="local", settings=None, **options):
        self._dags, self.executor, self._settings, self._options = dags, executor, settings or {}, options
        self._stack = contextlib.ExitStack()
        self.store = self.airflow = self.rest = None

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.store = stack.enter_context(s3_servers.any_server())
            settings, environment = s3_logging(self.store, _LOG_FOLDER)
            settings["CORE__EXECUTOR"] = "LocalExecutor"
            self.airflow = stack.enter_context(Components(self._dags, {**settings, **self._settings}, environment, **self._options))
            self.rest = self.airflow.rest
            self.airflow.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *failure):
        self._stack.__exit__(*failure)

    def new_place(self, name):
        """A folder for one run's lines and gates; what tasks may write to."""
        path = os.path.join(self.airflow.place, name)
        os.mkdir(path)
        os.chmod(path, 0o777)
        return path

    def trigger(self, dag_id, place, **conf):
        """Starts a run whose tasks find the folder `place` (of new_place); returns its id."""
        return self.rest.trigger(dag_id, place=place, **conf)

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
