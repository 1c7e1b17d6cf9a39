"""A task's execution_timeout, which no workload carries: from the serialized DAG in Airflow's database, cached."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Optional

log = logging.getLogger(__name__)

_VERSIONS_MAX = 256  # DAG versions kept


class ExecutionTimeouts:
    """Looks them up in the scheduler's session: one query for each DAG version, none for a version seen before."""

    def __init__(self) -> None:
        self._by_version: OrderedDict[Any, Mapping[str, float]] = OrderedDict()

    def seconds(self, ti: Any, session: Any) -> Optional[float]:
        """Of the task instance of a workload; None: it has none, or it cannot be known."""
        version = getattr(ti, "dag_version_id", None)
        try:
            if version is None:
                version = _version_of(ti, session)
            if version is None:
                return None
            if version not in self._by_version:
                self._by_version[version] = read_timeouts(_serialized(version, session))
                while len(self._by_version) > _VERSIONS_MAX:
                    self._by_version.popitem(last=False)
            return self._by_version[version].get(ti.task_id)
        except Exception:  # a back-up limit is not worth a scheduler: the supervisor in the sandbox has the real one
            log.warning("boxkeeper: no execution_timeout for %s", ti.task_id, exc_info=True)
            return None


def _version_of(ti: Any, session: Any) -> Any:
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    with session.no_autoflush:
        return session.scalar(select(TaskInstance.dag_version_id).where(TaskInstance.id == str(ti.id)))


def _serialized(version: Any, session: Any) -> Mapping[str, Any]:
    from airflow.models.serialized_dag import SerializedDagModel
    from sqlalchemy import select

    with session.no_autoflush:
        model = session.scalar(select(SerializedDagModel).where(SerializedDagModel.dag_version_id == version))
    return (model.data or {}) if model is not None else {}


def read_timeouts(data: Mapping[str, Any]) -> dict[str, float]:
    """execution_timeout in seconds by task id, of a serialized DAG."""
    defaults = data.get("client_defaults", {}).get("tasks", {})
    timeouts = {}
    for entry in data.get("dag", {}).get("tasks", ()):
        task = entry.get("__var", entry)
        mapped = task.get("partial_kwargs", {})
        value = next((found["execution_timeout"] for found in (task, mapped, defaults) if found.get("execution_timeout") is not None),
                     None)
        seconds = value.get("__var") if isinstance(value, Mapping) else value
        if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and seconds > 0:
            timeouts[str(task.get("task_id"))] = float(seconds)
    return timeouts
