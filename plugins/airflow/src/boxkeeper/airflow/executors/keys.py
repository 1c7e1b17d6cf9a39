"""Airflow's keys and the daemon's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from airflow.models.taskinstancekey import TaskInstanceKey

    from boxkeeper.v1 import task_pb2


class Namespace(NamedTuple):
    """Keys of one Airflow: several that share a daemon have different names."""

    name: str

    def of_task(self, key: TaskInstanceKey) -> task_pb2.TaskKey:
        """The key of one try."""
        from boxkeeper.client.keys import make_key

        return make_key(key.task_id, namespace=self.name, kind="TASK", group=key.dag_id, run=key.run_id,
                        index=key.map_index, try_number=key.try_number)

    def of_instance(self, ti: Any, try_number: int) -> task_pb2.TaskKey:
        """The key of try `try_number` of a task instance, also of one in the history."""
        from boxkeeper.client.keys import make_key

        return make_key(ti.task_id, namespace=self.name, kind="TASK", group=ti.dag_id, run=ti.run_id,
                        index=ti.map_index, try_number=try_number)

    def of_callback(self, callback_id: str) -> task_pb2.TaskKey:
        """The key of a callback."""
        from boxkeeper.client.keys import make_key

        return make_key(callback_id, namespace=self.name, kind="CALLBACK")


def to_airflow(key: task_pb2.TaskKey) -> TaskInstanceKey:
    """The reverse of Namespace.of_task."""
    from airflow.models.taskinstancekey import TaskInstanceKey

    from boxkeeper.client.keys import try_number

    return TaskInstanceKey(dag_id=key.group, task_id=key.name, run_id=key.run, try_number=try_number(key),
                           map_index=key.index if key.HasField("index") else -1)
