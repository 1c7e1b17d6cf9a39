"""Which task of the daemon stands for which try of which task instance."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from boxkeeper.airflow.commands.compat import conf

if TYPE_CHECKING:
    from boxkeeper.v1 import task_pb2

DEFAULT_NAMESPACE = "airflow"
_SUBMISSIONS = uuid.UUID("9d2b7f0a-6f0e-5c52-9d83-3c0f6d1c8a51")  # of our own making: names of submissions


@dataclasses.dataclass(frozen=True)
class Execution:
    """One try of one task instance. `ti_id` is Airflow's id of it, new for each try; `map_index` -1 = unmapped; `cleared_at`: the
    number of the try that was the last when the task instance was cleared the last time, 0 or less = never."""

    namespace: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    ti_id: str
    cleared_at: int = 0

    @classmethod
    def from_context(cls, context: Mapping[str, Any], retries: int = 0) -> Execution:
        """Of the task instance that runs now; `retries` of its operator."""
        ti = context["ti"]
        map_index = getattr(ti, "map_index", None)
        return cls(namespace=conf.get("boxkeeper", "namespace", fallback=DEFAULT_NAMESPACE), dag_id=ti.dag_id, run_id=ti.run_id,
                   task_id=ti.task_id, map_index=-1 if map_index is None else map_index, try_number=ti.try_number or 1,
                   ti_id=str(ti.id),
                   # Airflow counts retries on from where a task was cleared: max_tries = that try + retries.
                   cleared_at=(getattr(ti, "max_tries", 0) or 0) - retries)

    @property
    def submission_id(self) -> str:
        """The same for each submission of this try, so that one whose answer was lost is not run twice."""
        return str(uuid.uuid5(_SUBMISSIONS, f"{self.namespace}/{self.ti_id}/{self.try_number}"))

    @property
    def refused_owner(self) -> str:
        """Owner of the tasks whose result an operator could make nothing of: no later try is to meet it again."""
        return f"{self.namespace}:results-refused"

    def may_take_over(self, try_number: int) -> bool:
        """Whether this try goes on with what the try of this number left: an earlier one that the user has not cleared since."""
        return self.cleared_at < try_number < self.try_number

    def key(self) -> task_pb2.TaskKey:
        """The key of this try's task."""
        from boxkeeper.client.keys import make_key

        return make_key(self.task_id, namespace=self.namespace, kind="COMMAND", group=self.dag_id, run=self.run_id,
                        index=self.map_index, try_number=self.try_number)

    def key_prefix(self) -> str:
        """What the keys of all tries of this task instance begin with."""
        from boxkeeper.client.keys import key_prefix

        return key_prefix(namespace=self.namespace, kind="COMMAND", group=self.dag_id, run=self.run_id, name=self.task_id,
                          index=self.map_index)
