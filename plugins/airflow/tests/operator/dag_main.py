"""Runs one DAG of a file by dag.test() and prints, as the last line, what the database knows of it afterwards.

usage: dag_main.py FILE DAG_ID CONF_JSON [LOGICAL_DATE]
A given logical date makes the run's id the same for each call.
"""

import datetime
import importlib.util
import json
import sys

MARK = "RESULT-OF-THE-RUN "


def _dag(path, dag_id):
    from airflow.sdk import DAG

    spec = importlib.util.spec_from_file_location("the_dag_file", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["the_dag_file"] = module
    spec.loader.exec_module(module)
    return next(value for value in vars(module).values() if isinstance(value, DAG) and value.dag_id == dag_id)


def main():
    path, dag_id, conf = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    when = datetime.datetime.fromisoformat(sys.argv[4]) if len(sys.argv) > 4 else None
    dag = _dag(path, dag_id)
    options = {"logical_date": when, "run_after": when} if when else {}
    run = dag.test(run_conf=conf, **options)

    from sqlalchemy import select

    from airflow.models.renderedtifields import RenderedTaskInstanceFields
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        instances = session.scalars(select(TaskInstance).where(TaskInstance.run_id == run.run_id, TaskInstance.dag_id == dag_id))
        states = {_name(ti.task_id, ti.map_index): ti.state for ti in instances}
        xcoms = {}
        for row in session.scalars(select(XComModel).where(XComModel.run_id == run.run_id, XComModel.dag_id == dag_id)):
            xcoms.setdefault(_name(row.task_id, row.map_index), {})[row.key] = row.value
        rendered = session.scalars(select(RenderedTaskInstanceFields).where(RenderedTaskInstanceFields.run_id == run.run_id,
                                                                            RenderedTaskInstanceFields.dag_id == dag_id))
        fields = {_name(row.task_id, row.map_index): row.rendered_fields for row in rendered}
    print(MARK + json.dumps({"run": str(run.state), "states": {k: str(v) for k, v in states.items()}, "xcoms": xcoms, "fields": fields}))


def _name(task_id, map_index):
    return f"{task_id}[{map_index}]" if map_index >= 0 else task_id


if __name__ == "__main__":
    main()
