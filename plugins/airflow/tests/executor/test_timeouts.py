"""execution_timeout from Airflow's own tables, in each version's schema."""

import json
import uuid
import zlib
from types import SimpleNamespace

import pytest
import sqlalchemy
from airflow.executors import workloads
from airflow.models import import_all_models
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from sqlalchemy.orm import Session

from boxkeeper.airflow.executors.execution_timeouts import ExecutionTimeouts


def serialized(seconds):
    return {"__version": 2, "dag": {"dag_id": "dag", "tasks": [{"__type": "operator", "__var": {"task_id": "a", "execution_timeout": seconds}}]}}


@pytest.fixture
def session():
    import_all_models()  # their foreign keys name each other's tables
    engine = sqlalchemy.create_engine("sqlite://")
    tables = [SerializedDagModel.__table__, TaskInstance.__table__]
    for table in tables:
        table.create(engine)
    with Session(engine) as made:
        yield made
    engine.dispose()


def write(session, version, seconds, digest, compressed=False):
    """The row of a DAG version, new or in place."""
    data = serialized(seconds)
    values = {"data": None if compressed else data, "data_compressed": zlib.compress(json.dumps(data).encode()) if compressed else None,
              "dag_hash": digest}
    table = SerializedDagModel.__table__
    if not session.execute(sqlalchemy.update(table).where(table.c.dag_version_id == version).values(**values)).rowcount:
        session.execute(sqlalchemy.insert(table).values(id=_id(table.c.id), dag_id="dag", dag_version_id=version, **values))
    session.commit()


def _id(column):
    """A new id as this version's column takes it."""
    try:
        return uuid.uuid4() if column.type.python_type is uuid.UUID else str(uuid.uuid4())
    except NotImplementedError:
        return str(uuid.uuid4())


def instance(version=None, **more):
    return SimpleNamespace(task_id="a", dag_version_id=version, **more)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_version_that_is_rewritten_in_place_is_read_anew(session, compressed):
    now = [0.0]
    timeouts, version = ExecutionTimeouts(lambda: now[0]), _id(SerializedDagModel.__table__.c.dag_version_id)
    write(session, version, 60.0, "one", compressed)
    assert timeouts.seconds(instance(version), session) == 60.0
    write(session, version, 90.0, "two", compressed)
    assert timeouts.seconds(instance(version), session) == 60.0, "within a batch it is not looked at again"
    now[0] += 2
    assert timeouts.seconds(instance(version), session) == 90.0
    now[0] += 2
    assert timeouts.seconds(instance(version), session) == 90.0
    assert timeouts.seconds(SimpleNamespace(task_id="other", dag_version_id=version), session) is None


@pytest.mark.skipif("dag_version_id" in workloads.ExecuteTask.model_fields["ti"].annotation.model_fields, reason="its workloads say it")
def test_where_the_workload_does_not_say_its_version_the_task_instance_does(session):
    table = TaskInstance.__table__
    version, ti_id = _id(table.c.dag_version_id), _id(table.c.id)
    write(session, version, 60.0, "one")
    session.execute(sqlalchemy.insert(table).values(
        id=ti_id, task_id="a", dag_id="dag", run_id="run", map_index=-1, try_number=1, max_tries=0, pool="p", pool_slots=1,
        priority_weight=1, queue="q", dag_version_id=version, executor_config={}, state="queued", hostname="", unixname=""))
    session.commit()
    assert ExecutionTimeouts().seconds(SimpleNamespace(task_id="a", id=ti_id), session) == 60.0


def test_what_cannot_be_known_is_no_timeout_and_no_error(session):
    version = _id(SerializedDagModel.__table__.c.dag_version_id)
    assert ExecutionTimeouts().seconds(instance(version), session) is None
    assert ExecutionTimeouts().seconds(instance(version), None) is None
