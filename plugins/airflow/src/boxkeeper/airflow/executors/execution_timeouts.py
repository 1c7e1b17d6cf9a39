"""A task's execution_timeout, which no workload carries: from the serialized DAG in Airflow's database, cached."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Optional

log = logging.getLogger(__name__)

_VERSIONS_MAX = 256  # DAG versions kept
_FRESH = 1.0         # seconds that a version is not looked at again: as long as a batch is queued


@dataclasses.dataclass
class _Known:
    hash: Any
    timeouts: Mapping[str, float]
    looked_at: float


class ExecutionTimeouts:
    """Looks them up in the scheduler's session: within a batch once for each DAG version, and then only its hash, as Airflow
    may rewrite a version in place."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_version: OrderedDict[Any, _Known] = OrderedDict()

    def seconds(self, ti: Any, session: Any) -> Optional[float]:
        """Of the task instance of a workload; None: it has none, or it cannot be known."""
        try:
            with session.no_autoflush:
                version = getattr(ti, "dag_version_id", None) or _version_of(ti, session)
                return None if version is None else self._timeouts(version, session).get(ti.task_id)
        except Exception:  # a back-up limit is not worth a scheduler: the supervisor in the sandbox has the real one
            log.warning("boxkeeper: no execution_timeout for %s", ti.task_id, exc_info=True)
            return None

    def _timeouts(self, version: Any, session: Any) -> Mapping[str, float]:
        from airflow.models.serialized_dag import SerializedDagModel
        from sqlalchemy import select

        known, now = self._by_version.get(version), self._clock()
        if known is not None and now - known.looked_at < _FRESH:
            return known.timeouts
        of_version = SerializedDagModel.dag_version_id == version
        if known is None or session.scalar(select(SerializedDagModel.dag_hash).where(of_version)) != known.hash:
            # Columns, not objects: those of the session may be older than the row.
            columns = (SerializedDagModel.dag_hash, SerializedDagModel._data, SerializedDagModel._data_compressed)
            row = session.execute(select(*columns).where(of_version)).first()
            known = _Known(None, {}, now) if row is None else _Known(row[0], read_timeouts(_decode(row[1], row[2])), now)
        known.looked_at = now
        self._by_version[version] = known
        self._by_version.move_to_end(version)
        while len(self._by_version) > _VERSIONS_MAX:
            self._by_version.popitem(last=False)
        return known.timeouts


def _version_of(ti: Any, session: Any) -> Any:
    """In 3.0 the workload does not say it; ids are texts there."""
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    return session.scalar(select(TaskInstance.dag_version_id).where(TaskInstance.id == str(ti.id)))


def _decode(plain: Any, compressed: Optional[bytes]) -> Mapping[str, Any]:
    data = json.loads(zlib.decompress(compressed)) if compressed else plain
    return data if isinstance(data, Mapping) else {}


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
