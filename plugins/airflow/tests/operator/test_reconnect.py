"""A try that meets what an earlier one left: taken over, its result taken, or stopped."""

import pytest
from fakes import FakeClient, context, end

from boxkeeper.airflow.commands.compat import AirflowException
from boxkeeper.airflow.commands.identity import Execution
from boxkeeper.airflow.commands.outcome import SandboxFailed
from boxkeeper.airflow.commands.results import BadResult
from boxkeeper.airflow.operators import sandbox
from boxkeeper.airflow.operators.sandbox import SandboxOperator
from boxkeeper.client import errors, names
from boxkeeper.v1 import task_pb2

STOPPING = task_pb2.TASK_STATE_STOPPING


@pytest.fixture
def client(monkeypatch):
    made = FakeClient()
    monkeypatch.setattr(sandbox, "open_client", lambda conn_id: made)
    return made


def job(**arguments):
    return SandboxOperator(**{"task_id": "job", "command": "work", "retries": 3, **arguments})


def execute(operator, **arguments):
    values = context(**arguments)
    operator.render_template_fields(values)
    return SandboxOperator.execute.__wrapped__(operator, values)


def dies(client, operator, **arguments):
    """The worker of a try dies right after its submission; returns the task, which runs."""
    client.on_submit = lambda task: None
    with pytest.raises(AirflowException, match="lost sight of task"):
        execute(operator, **arguments)  # the fake's wait does not wait
    client.on_submit = end
    return client.tasks[-1]


def prints(client, task, text):
    client.logs[task.id, "STDOUT"] = text


def test_the_next_try_takes_over_the_sandbox_that_still_runs(client):
    task = dies(client, job())
    prints(client, task, b"result\n")
    client.renew_lease = lambda ids: end(task) if not names.is_terminal(task) else None  # ends while it is followed
    assert execute(job(), try_number=2) == "result"
    assert len(client.specs) == 1 and client.cancelled == []


def test_the_next_try_takes_a_result_that_nobody_heard_of(client):
    task = dies(client, job())
    prints(client, task, b"result\n")
    end(task, ended_ago=400)
    assert execute(job(), try_number=2) == "result" and len(client.specs) == 1


def test_a_worker_that_dies_before_airflow_heard_of_the_result_costs_no_second_run(client):
    says = {"T": b"result\n"}
    client.on_submit = lambda task: (prints(client, task, says["T"]), end(task))
    assert execute(job()) == execute(job(), try_number=2) == "result" and len(client.specs) == 1


@pytest.mark.parametrize("running", [True, False])
def test_a_task_that_was_cleared_runs_again(client, running):
    """Airflow counts on from there: max_tries = the last try + retries."""
    task = dies(client, job())
    if not running:
        end(task)
    execute(job(), try_number=2, max_tries=1 + 3)
    assert len(client.specs) == 2 and (client.cancelled == [task.id]) is running


def test_a_crash_after_a_clear_is_a_crash(client):
    execute(job())
    task = dies(client, job(), try_number=2, max_tries=1 + 3)
    end(task)
    execute(job(), try_number=3, max_tries=1 + 3)
    assert len(client.specs) == 2


def test_a_run_that_was_deleted_and_made_again_under_the_same_id_runs_again(client):
    execute(job(), ti_id="of the first life")
    execute(job(), ti_id="of the second")
    assert len(client.specs) == 2


def test_a_result_that_was_refused_is_not_met_again(client):
    client.artifacts["task0"] = {}
    with pytest.raises(BadResult):
        execute(job(xcom_file="nothing.json"))
    assert client.tasks[0].owner == "airflow:results-refused" and client.acknowledged == [("airflow:results-refused", "task0")]
    client.artifacts["task1"] = {"nothing.json": b"1"}
    assert execute(job(xcom_file="nothing.json"), try_number=2) == 1


def test_an_old_result_is_not_taken(client):
    end(dies(client, job()), ended_ago=901)  # 300 s until it is noticed, 300 s retry delay, 300 s margin
    execute(job(), try_number=2)
    assert len(client.specs) == 2


def test_a_failure_is_the_earlier_trys_own(client):
    end(dies(client, job()), "FAILED", code=1)
    execute(job(), try_number=2)
    assert len(client.specs) == 2


def test_a_skip_is_a_result(client):
    end(dies(client, job(skip_on_exit_code=7)), "FAILED", code=7)
    with pytest.raises(Exception, match="code 7"):
        execute(job(skip_on_exit_code=7), try_number=2)
    assert len(client.specs) == 1


@pytest.mark.parametrize("changed", [{"command": "other work"}, {"env": {"A": "b"}}, {"files": {"f": "x"}}, {"secrets": {"S": "s"}},
                                     {"reconnect": False}])
def test_another_command_is_stopped_before_this_one_runs(client, changed):
    task = dies(client, job())
    seen = []
    client.on_submit = lambda new: (seen.append(names.state_name(task.state)), end(new))
    execute(job(**changed), try_number=2)
    assert client.cancelled == [task.id] and seen == ["CANCELLED"] and len(client.specs) == 2


def test_what_does_not_change_the_command_does_not_stop_it(client):
    task = dies(client, job(secrets={"S": "old password"}, retries=3))
    end(task)
    execute(job(secrets={"S": "new password"}, retries=2, xcom_max_bytes=5, lease=900), try_number=2, max_tries=2)
    assert len(client.specs) == 1


def test_one_that_is_being_stopped_is_waited_for_and_not_taken_over(client):
    task = dies(client, job())
    task.state = STOPPING
    execute(job(), try_number=2)
    assert len(client.specs) == 2 and names.state_name(task.state) == "CANCELLED"


def test_one_that_does_not_end_keeps_the_new_try_from_running(client):
    task = dies(client, job())
    client.cancel_tasks = lambda **arguments: []
    with pytest.raises(AirflowException, match=f"has not ended within 600 s of being cancelled: {task.id}"):
        execute(job(reconnect=False), try_number=2)
    assert len(client.specs) == 1


def test_one_that_is_stopped_while_it_is_followed_gives_way_to_an_own_run(client):
    """The task was cleared: the old worker, which still lives, cancels what the new try has taken over."""
    task = dies(client, job())
    client.renew_lease = lambda ids: None if names.is_terminal(task) else end(task, "CANCELLED", "CANCELLED")
    execute(job(), try_number=2)
    assert len(client.specs) == 2 and names.succeeded(client.tasks[1])


def test_an_own_run_that_is_stopped_fails(client):
    client.on_submit = lambda task: end(task, "CANCELLED", "CANCELLED", message="by an operator")
    with pytest.raises(SandboxFailed, match=r"it was cancelled \(by an operator\)"):
        execute(job())
    assert len(client.specs) == 1


def test_the_deferred_part_runs_its_own_if_the_one_taken_over_was_stopped(client):
    task = dies(client, job())
    end(task, "CANCELLED", "CANCELLED")
    event = {"status": "ended", "message": "", "task_id": task.id, "adopted": True, "lease": 60.0}
    job().execute_complete(context(try_number=2), event)
    assert len(client.specs) == 2


def test_the_same_try_again_is_the_same_task(client):
    task = dies(client, job())
    end(task)
    execute(job())
    assert len(client.specs) == 1


def test_other_task_instances_are_not_looked_at(client):
    for arguments in ({"task_id": "job2"}, {"map_index": 1}, {"map_index": 11}):
        dies(client, job(task_id=arguments.get("task_id", "job")), **arguments)
    execute(job())
    execute(job(), map_index=2)
    assert client.cancelled == [] and len(client.specs) == 5


def test_a_mark_that_fails_does_not_fail_the_task(client):
    def away(*arguments, **options):
        raise errors.Unavailable("gone", code="UNAVAILABLE")

    client.adopt_tasks = away
    with pytest.raises(BadResult):
        execute(job(xcom_file="nothing.json"))


def test_names_of_an_execution():
    execution = Execution("airflow", "d/1", "run 1", "t", -1, 2, "ti")
    assert execution.key_prefix() == "airflow/COMMAND/d%2F1/run%201/t/-1/"
    assert execution.submission_id == Execution("airflow", "d/1", "run 1", "t", -1, 2, "ti").submission_id
    assert execution.submission_id != Execution("airflow", "d/1", "run 1", "t", -1, 3, "ti").submission_id
