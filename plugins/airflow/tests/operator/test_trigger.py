"""The trigger, run as the triggerer runs it: its generator, cancelled or to its end, with a real daemon."""

import asyncio
import contextlib
import json
import time
from unittest import mock

import pytest

from airflow.triggers.base import BaseTrigger
from boxkeeper.airflow.triggers import clients, sandbox
from boxkeeper.airflow.triggers.sandbox import SandboxTrigger
from boxkeeper.client import AsyncClient, Client, ConnectionSettings, keys, names, specs
from tests.harness.daemon import Daemon
from tests.harness.gate import Gate


SHARED = clients._Shared


@pytest.fixture
def own_daemon(monkeypatch):
    with Daemon() as running:
        monkeypatch.setenv("AIRFLOW_CONN_BOXKEEPER_DEFAULT", json.dumps({"conn_type": "boxkeeper", "host": f"unix:{running.socket}"}))
        yield running.start()


@pytest.fixture
def client(own_daemon):
    with Client(ConnectionSettings(f"unix:{own_daemon.socket}")) as made:
        yield made


def submit(client, command, lease=60.0, number=1):
    spec = specs.make_spec(keys.make_key("job", try_number=number), shell=command, lease_ttl=lease, cancel_on_lapse=True)
    return client.submit(spec).id


def make(task_id, **arguments):
    return SandboxTrigger(**{"task_id": task_id, "adopted": False, "lease": 60.0, "deadline": None, "boxkeeper_conn_id": "boxkeeper_default",
                             "dag_id": "dag", "run_id": "run", "airflow_task_id": "task", "map_index": -1, **arguments})


async def first_event(trigger):
    async for event in trigger.run():
        return event.payload
    raise AssertionError("no event")


def fire(trigger):
    return asyncio.run(first_event(trigger))


def test_it_is_what_it_was_before_it_was_stored():
    trigger = make("id", adopted=True, lease=5.0, deadline=7.0, map_index=3)
    path, arguments = trigger.serialize()
    assert path == "boxkeeper.airflow.triggers.sandbox.SandboxTrigger" and json.loads(json.dumps(arguments)) == arguments
    assert SandboxTrigger(**arguments).serialize() == (path, arguments)


def test_it_fires_at_the_end(client):
    task_id = submit(client, "exit 3")
    assert fire(make(task_id, adopted=True)) == {"status": "ended", "message": "", "task_id": task_id, "adopted": True, "lease": 60.0}


def test_it_renews_the_lease(client):
    task_id = submit(client, "sleep 2.5", lease=1.0)
    assert fire(make(task_id, lease=1.0))["status"] == "ended"
    assert names.succeeded(client.get_task(task_id))


def test_it_cancels_at_the_deadline(client):
    task_id = submit(client, "sleep 1000")
    assert fire(make(task_id, deadline=time.time() + 0.3))["status"] == "timeout"
    (task,) = client.wait([task_id], timeout=30)
    assert names.state_name(task.state) == "CANCELLED" and "execution_timeout" in task.message


def test_it_waits_through_a_restart_of_the_daemon(own_daemon, client, tmp_path):
    gate = Gate(str(tmp_path))
    task_id = submit(client, gate.wait)

    async def play():
        waiting = asyncio.create_task(first_event(make(task_id)))
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, own_daemon.restart)
        gate.open()
        return await waiting

    assert asyncio.run(play())["status"] == "ended"
    assert names.succeeded(client.get_task(task_id))


def test_many_triggers_share_a_connection_and_each_fires(client, tmp_path):
    gate = Gate(str(tmp_path))
    ids = [submit(client, f"{gate.wait}; exit 0", number=number) for number in range(1, 31)]
    made = []

    async def play():
        triggers = [asyncio.create_task(first_event(make(task_id))) for task_id in ids]
        await asyncio.get_running_loop().run_in_executor(None, lambda: client.wait(ids, until="RUNNING", timeout=60))
        gate.open(30)
        return await asyncio.gather(*triggers)

    with mock.patch.object(clients, "_Shared", lambda one: made.append(one) or SHARED(one)):
        events = asyncio.run(play())
    assert [event["task_id"] for event in events] == ids and {event["status"] for event in events} == {"ended"} and len(made) == 1


def test_a_task_that_is_not_known_is_an_event_and_no_exception(client):
    event = fire(make("a" * 26))
    assert event["status"] == "error" and "NotFound" in event["message"]


def cancelled(trigger, *message):
    """Starts the trigger and cancels it, as the triggerer does: Airflow 3.3 calls on_kill if the message comes back."""
    async def as_the_triggerer():
        try:
            await first_event(trigger)
        except asyncio.CancelledError as stop:
            if stop.args and stop.args[0] == "__airflow_user_action__" and hasattr(BaseTrigger, "on_kill"):
                await trigger.on_kill()
            raise

    async def play():
        waits, wait, seen = asyncio.Event(), AsyncClient.wait, []

        def told(client, *arguments, **options):
            seen.append(client)
            waits.set()
            return wait(client, *arguments, **options)

        with mock.patch.object(AsyncClient, "wait", told):
            running = asyncio.create_task(as_the_triggerer())
            await waits.wait()
            await seen[0].get_capacity()  # when this is answered, the other call is in gRPC's hands
            running.cancel(*message)
            with contextlib.suppress(asyncio.CancelledError):
                await running
        return running.cancelled()

    return asyncio.run(play())


def test_a_triggerer_that_stops_leaves_the_sandbox_alone(client, monkeypatch):
    monkeypatch.setattr("airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_task_states",
                        staticmethod(lambda **arguments: {"run": {"task": "deferred"}}))
    task_id = submit(client, "sleep 1000")
    assert cancelled(make(task_id))
    (task,) = client.wait([task_id], until="RUNNING", timeout=30)
    assert not names.is_terminal(task) and names.state_name(task.state) != "STOPPING"


def test_a_user_who_kills_the_task_kills_the_sandbox(client, monkeypatch):
    """From Airflow 3.3 on the triggerer says so; before, the task instance is deferred no more."""
    monkeypatch.setattr("airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_task_states",
                        staticmethod(lambda **arguments: {"run": {"task": "failed"}}))
    task_id = submit(client, "sleep 1000")
    said = ["__airflow_user_action__"] if hasattr(BaseTrigger, "on_kill") else []
    assert cancelled(make(task_id), *said)
    (task,) = client.wait([task_id], timeout=30)
    assert names.state_name(task.state) == "CANCELLED" and "the deferred task was killed" in task.message


@pytest.mark.parametrize(("states", "map_index", "killed"), [
    ({"run": {"task": "deferred"}}, -1, False), ({"run": {"task": "failed"}}, -1, True), ({"run": {"task": None}}, -1, True),
    ({"run": {"task_3": "deferred", "task": "failed"}}, 3, False), ({"run": {}}, -1, True), ({}, -1, True),
])
def test_before_3_3_the_state_of_the_task_instance_tells(monkeypatch, states, map_index, killed):
    monkeypatch.setattr(sandbox, "_has_on_kill", lambda: False)
    monkeypatch.setattr("airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_task_states", staticmethod(lambda **arguments: states))
    assert asyncio.run(make("id", map_index=map_index)._was_killed()) is killed


def test_before_3_3_a_triggerer_that_cannot_say_stops(monkeypatch):
    def gone(**arguments):
        raise EOFError

    monkeypatch.setattr(sandbox, "_has_on_kill", lambda: False)
    monkeypatch.setattr("airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_task_states", staticmethod(gone))
    assert asyncio.run(make("id")._was_killed()) is False
