"""The real daemon and a provider that has a bad day. What it promises of single failures: providers/fakecloud, tests/fakecloud."""

import os
import signal
import threading

from tests.faults.cloud_world import CloudWorld
from tests.harness import processes
from tests.harness.client import end, spec, state_name
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import until

FULL = bool(os.environ.get("BOXKEEPER_FULL"))
_SUCCEEDED = ("SUCCEEDED", "EXIT_CODE", 0, None)


def _submit_many(world, count, words):
    ids = []
    for start in range(0, count, 500):
        items = [spec(argv=["sim", *words.split()], owner=world.owner) for _ in range(start, min(start + 500, count))]
        ids += [result.id for result in world.client.submit_all(items)]
    return ids


def _all_ended(world, ids, seconds=300):
    return world.client.wait_all(ids, executor_pb2.WaitTaskRequest.END, seconds)


def test_a_provider_that_is_down_for_a_while():
    """Nothing is lost or started twice; only new tasks wait; cancels that fall due are carried out afterwards."""
    with CloudWorld() as world:
        world.start()
        on = world.submit_sim("on", "run=1h", [("CANCELLED", "CANCELLED", None, n) for n in (9, 15)])
        short = world.submit_sim("short", "run=500ms exit=3", [("FAILED", "EXIT_CODE", 3, None)])
        for task in (on, short):
            world.wait_ran(task.name)
        world.client.wait_running(on.id)
        os.kill(world.cloud.process.pid, signal.SIGSTOP)
        until(lambda: processes.state(world.cloud.process.pid) == "T", "the cloud stands still")
        until(lambda: world.client.get(on.id).HasField("provider_unreachable_since"), "told to be unreachable", 60)
        waiting = world.submit_sim("waiting", "run=10ms", [_SUCCEEDED])
        world.client.cancel(on.id)
        threading.Event().wait(60 if FULL else 3)  # the fault itself
        assert state_name(world.client.get(on.id).state) == "STOPPING"
        assert state_name(world.client.get(waiting.id).state) == "QUEUED"
        world.daemon.process.kill()  # and a daemon that dies meanwhile
        until(lambda: world.keeper.kills == 1 and world.client.health() == 1, "the next daemon")
        os.kill(world.cloud.process.pid, signal.SIGCONT)
        world.judge()


def test_a_storm_of_429_is_obeyed():
    # With one attempt each: being told to wait is no failed one.
    config = {"scheduling": {"max_attempts": 1}}
    with CloudWorld(config, script="rate_limit: {per_second: 40, retry_after: 1s}") as world:
        world.start()
        ids = _submit_many(world, 400 if FULL else 60, "run=10ms")
        others = [(end(task), task.message) for task in _all_ended(world, ids) if end(task) != _SUCCEEDED]
        assert not others
        world.cloud.script("")
        assert world.cloud.executions() == {task_id: 1 for task_id in ids}
        world.judge()


def test_answers_lost_after_their_effect():
    with CloudWorld(script="faults: [{verbs: [create, start, destroy, signal, fence], fault: lost, probability: 0.3}]") as world:
        world.start()
        ids = _submit_many(world, 300 if FULL else 60, "run=20ms")
        ends = {end(task) for task in _all_ended(world, ids)}
        world.cloud.script("")
        assert ends == {_SUCCEEDED}
        assert world.cloud.executions() == {task_id: 1 for task_id in ids}
        world.judge()


def test_very_many_creates_that_fail_at_once():
    """The provider is not flooded, and every task comes to its end when it is well again."""
    count = int(os.environ.get("BOXKEEPER_CREATES", "500"))
    config = {"scheduling": {"max_running": 20_000, "max_attempts": 100, "retry_backoff": {"initial": "200ms", "max": "2s"}}}
    with CloudWorld(config, script="faults: [{verbs: [create], fault: status, status: 503, effect: 0}]") as world:
        world.start()
        ids = _submit_many(world, count, "run=0ms")
        until(lambda: world.cloud.counts()["calls"].get("create", 0) > 20, "creates fail")
        before = world.cloud.counts()["calls"]["create"]
        seconds = 5
        threading.Event().wait(seconds)
        rate = (world.cloud.counts()["calls"]["create"] - before) / seconds
        # Without a breaker and back-off each of them would ask again and again.
        assert rate < 200, f"{rate} creates a second at a provider that fails all of them"
        world.cloud.script("")
        assert {end(task) for task in _all_ended(world, ids, 600)} == {_SUCCEEDED}
        assert world.cloud.executions() == {task_id: 1 for task_id in ids}
        until(lambda: not world.cloud.living(), "every sandbox was destroyed", 120)
