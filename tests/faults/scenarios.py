"""What is going on when a fault point kills: each scenario drives a `World` through some of the state machine's moves.

Every call may meet a dead daemon and is repeated, so a scenario is written as if nothing happened. `config` of a scenario
is merged into the daemon's; one that `arms_later` arms `world.failpoint` itself, for a later start."""

import hashlib
import os
import signal

import grpc

from tests.faults.world import OWNER
from tests.harness.client import spec, state_name
from tests.harness.stubs import admin_pb2, executor_pb2, task_pb2
from tests.harness.waiting import until

SUCCEEDED = ("SUCCEEDED", "EXIT_CODE", 0, None)
LOST = ("LOST", "SANDBOX_LOST", None, None)
OUTPUT = "".join(f"line {n}\n" for n in range(50)).encode()
_PRINT = "n=0; while [ $n -lt 50 ]; do echo line $n; n=$((n+1)); done"
_FOREVER = "exec tail -f /dev/null"


def _failed(code):
    return ("FAILED", "EXIT_CODE", code, None)


def zero(world, ends=(SUCCEEDED,), runs=(1,)):
    """A task that succeeds, with a secret that must not leak."""
    return world.submit("zero", _PRINT, ends, OUTPUT, runs=runs, secret=True)


def maybe_lost(world):
    """The same where its supervisor is killed: it may have run, and is told to be lost."""
    zero(world, [LOST], (0, 1))


def outputs(world, ends=(SUCCEEDED,), runs=(1,), kept=True):
    """A task that leaves files behind."""
    task = world.submit("outputs", "echo one > a; mkdir d; head -c 300000 /dev/zero > d/b", ends, b"", runs=runs,
                        override={"outputs": ["a", "d"]})
    task.files = {"a": b"one\n", "d/b": bytes(300000)} if kept else {}


def outputs_kept_though_lost(world):
    """Its supervisor is killed when they are on the disk."""
    outputs(world, [LOST], (0, 1))


def outputs_lost(world):
    """Its supervisor is killed before they are."""
    outputs(world, [LOST], (0, 1), kept=False)


def nonzero(world):
    world.submit("nonzero", f"{_PRINT}; exit 3", [_failed(3)], OUTPUT)


def held(world):
    """A task that is seen to run before it ends."""
    gate = world.gate()
    task = world.submit("held", f"{gate.wait}; exit 3", [_failed(3)], b"")
    world.client.wait_running(task.id)
    gate.open()


def airflow(world):
    world.submit("airflow", _PRINT, [SUCCEEDED], OUTPUT, override={"log": {"layout": "airflow", "path": "dag/attempt=1.log"}})


def room(world):
    """A task that prints more than its spool may hold, and waits until what is stored is given back."""
    lines = "".join(f"line {n} of many\n" for n in range(20000)).encode()
    world.submit("room", "seq -f 'line %.0f of many' 0 19999", [SUCCEEDED], lines)


room.config = {"logs": {"max_bytes_per_task": "64KiB", "overflow": "block", "flush_interval": "10ms"}}


def blob(world):
    """A task whose file was put before it; who gets no answer puts it again."""
    content = bytes(range(256)) * 4096

    def pieces():
        yield executor_pb2.PutBlobRequest(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        yield executor_pb2.PutBlobRequest(data=content)

    def put():
        try:
            return world.client.executor.PutBlob(pieces(), timeout=30, metadata=world.client.metadata)
        except grpc.RpcError as error:
            assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED), error
            return None

    until(put, "an answer to PutBlob")
    files = [task_pb2.TaskFile(path="data", blob=hashlib.sha256(content).hexdigest())]
    world.submit("blob", "sha256sum < data", [SUCCEEDED], f"{hashlib.sha256(content).hexdigest()}  -\n".encode(), files=files)


def start_failed(world):
    world.submit_argv("start_failed", ["/no/such/program"], [("FAILED", "START_FAILED", None, None)])


def expired(world):
    world.submit("expired", "true", [("FAILED", "EXPIRED", None, None)], runs=(0,),
                 override={"start_deadline": "2020-01-01T00:00:00Z"})


def cancel_running(world):
    task = world.submit("cancelled", _FOREVER, [("CANCELLED", "CANCELLED", None, 15)])
    world.wait_ran("cancelled")
    world.client.cancel(task.id)


def cancel_queued(world):
    """One task holds the only place; the one behind it is cancelled before it starts."""
    gate = world.gate()
    world.submit("first", gate.wait, [SUCCEEDED], b"")
    world.wait_ran("first")
    task = world.submit("queued", "true", [("CANCELLED", "CANCELLED", None, None)], runs=(0,))
    world.client.cancel(task.id)
    gate.open()


cancel_queued.config = {"scheduling": {"max_running": 1}}


def _signal_supervisors(world, number):
    supervisors = world.daemon.supervisor_pids()
    assert supervisors
    for pid in supervisors:
        os.kill(pid, number)


def execution_lost(world):
    """Its supervisor is killed, so no exit record will ever come."""
    task = world.submit("lost", _FOREVER, [LOST])
    world.wait_ran("lost")
    world.client.wait_running(task.id)
    _signal_supervisors(world, signal.SIGKILL)


def timeout_seen_by_the_daemon(world):
    """Its supervisor is stopped, so the daemon's own clock is what ends it."""
    task = world.submit("timeout", _FOREVER, [("FAILED", "RUN_TIMEOUT", None, n) for n in (9, 15)],
                        override={"timeout": "1s", "grace": "0s"})
    world.wait_ran("timeout")
    world.client.wait_running(task.id)
    _signal_supervisors(world, signal.SIGSTOP)


def abandoned(world):
    """It ignores TERM and has all the time in the world; the operator has not."""
    task = world.submit("abandoned", f"trap '' TERM; {_FOREVER}", [LOST], override={"grace": "300s"})
    world.wait_ran("abandoned")
    world.client.wait_running(task.id)
    world.client.cancel(task.id)
    try:
        world.client.call(world.client.admin.AbandonTask, admin_pb2.AbandonTaskRequest(id=task.id))
    except grpc.RpcError as error:
        # The repeat of a call that was carried out, but not answered.
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error


def provider_gone(world):
    """A task waits for a provider that the next start's configuration does not have."""
    both = {"providers": {"local": {"type": "local", "isolation": "none"}, "second": {"type": "local", "isolation": "none"}},
            "default_provider": "local"}
    world.reconfigure(both)
    world.client.call(world.client.admin.Drain, admin_pb2.DrainRequest())
    world.submit("gone", "true", [("FAILED", "INVALID_SPEC", None, None)], runs=(0,), override={"provider": "second"})
    world.arm(world.failpoint)
    world.reconfigure({})
    world.client.call(world.client.admin.Drain, admin_pb2.DrainRequest(off=True))


provider_gone.arms_later = True


def launcher_away(world):
    """The launcher cannot be started for a while: a create fails that certainly had no effect, and is tried again."""
    world.submit("first", "true", [SUCCEEDED], b"")
    world.client.wait(world.tasks[0].id)
    away = world.launcher_away()
    task = world.submit("retried", "exit 6", [_failed(6)], b"")

    def failed_once():
        told = world.client.get(task.id)
        return world.keeper.kills or (told.attempt > 0 and state_name(told.state) == "QUEUED")

    until(failed_once, "its create failed")
    os.remove(away)


launcher_away.config = {"scheduling": {"create_timeout": "1s"}}


def hand_over(world):
    """SIGTERM while one task runs and another waits."""
    gate = world.gate()
    world.submit("running", gate.wait, [SUCCEEDED], b"")
    world.wait_ran("running")
    world.submit("waiting", "exit 4", [_failed(4)], b"")
    until(lambda: world.client.health() == 1, "it serves, and hears signals")
    world.daemon.process.send_signal(signal.SIGTERM)
    gate.open()


hand_over.config = {"scheduling": {"max_running": 1}}


def restart(world):
    """A start that finds a running, an ended and a waiting task."""
    gate = world.gate()
    world.submit("running", gate.wait, [SUCCEEDED], b"")
    world.wait_ran("running")
    ended = world.submit("ended", "exit 5", [_failed(5)], b"")
    world.client.wait(ended.id)
    world.submit("second", gate.wait, [SUCCEEDED], b"")
    world.wait_ran("second")
    world.submit("waiting", "exit 4", [_failed(4)], b"")
    world.arm(world.failpoint)
    world.daemon.process.kill()
    world.wait_passed("daemon")
    gate.open(2)


restart.arms_later = True
restart.config = {"scheduling": {"max_running": 2}}


def owners(world):
    """Events are acknowledged, and the task adopted by another scheduler."""
    task = zero(world)
    world.client.wait(task.id, executor_pb2.WaitTaskRequest.LOG_COMPLETE)
    last = world.client.events(OWNER)[-1].cursor
    world.client.call(world.client.executor.AckEvents, executor_pb2.AckEventsRequest(owner=OWNER, cursor=last))
    refs = [executor_pb2.TaskRef(id=task.id)]
    world.client.call(world.client.executor.AdoptTasks, executor_pb2.AdoptTasksRequest(new_owner="test:new", tasks=refs))
    changed = [e.task.owner for e in world.client.events("test:new", "c0") if e.task.id == task.id]
    assert changed == ["test:new"]
    until(lambda: any(e.task.owner == "test:new" for e in world.subscriber.events), "the old owner hears of it")


def compacted(world):
    """A result without an owner goes after `retention`; its repeat is still known."""
    item = spec(shell=f"echo ran >> {world.path('ran.compacted')}")
    task_id = world.client.submit(item)

    def forgotten():
        try:
            world.client.get(task_id)
        except grpc.RpcError as error:
            return error.code() == grpc.StatusCode.NOT_FOUND
        return False

    until(forgotten, "compacted")
    world.wait_passed("daemon")
    repeat = world.client.submit_all([item])[0]
    assert (repeat.outcome, repeat.id) == (executor_pb2.SubmitResult.DUPLICATE, task_id)
    assert world.ran("compacted") == 1
    world.oldest_cursor = ""  # what a new owner's stream begins with is behind what was compacted
    zero(world)


compacted.config = {"scheduling": {"retention": "100ms"}}

# --- at FakeCloud ---


def cloud(function):
    """Marks a scenario whose provider is FakeCloud."""
    function.cloud = True
    return function


@cloud
def cloud_zero(world):
    world.submit_sim("zero", "run=50ms", [SUCCEEDED])


@cloud
def cloud_output(world):
    """Its output is fetched while it runs, and the rest at its end."""
    line = bytes(ord("a") + i % 26 for i in range(79)) + b"\n"
    world.submit_sim("printing", "run=2s out=8000 err=80", [SUCCEEDED], output=line * 100)


@cloud
def cloud_nonzero(world):
    world.submit_sim("nonzero", "run=300ms exit=3", [_failed(3)])


@cloud
def cloud_create_fails_once(world):
    """503: nobody knows whether it had its effect."""
    world.cloud.script("faults: [{verbs: [create], fault: status, status: 503, effect: 0.5, count: 1}]")
    world.submit_sim("retried", "run=50ms exit=6", [_failed(6)])


@cloud
def cloud_create_answer_lost(world):
    world.cloud.script("faults: [{verbs: [create], fault: lost, count: 1}]")
    world.submit_sim("lost_answer", "run=50ms", [SUCCEEDED])


@cloud
def cloud_start_answer_lost(world):
    world.cloud.script("faults: [{verbs: [start], fault: lost, count: 1}]")
    world.submit_sim("lost_answer", "run=300ms exit=2", [_failed(2)])


@cloud
def cloud_key_refused(world):
    world.cloud.script("faults: [{verbs: [create], fault: status, status: 401}]")
    world.submit_sim("refused", "run=50ms", [("FAILED", "AUTH", None, None)], runs=(0,))


@cloud
def cloud_start_fails(world):
    world.submit_sim("start_fails", "start_fails", [("FAILED", "START_FAILED", None, None)], runs=(0,))


@cloud
def cloud_cancel(world):
    task = world.submit_sim("cancelled", "run=1h", [("CANCELLED", "CANCELLED", None, n) for n in (9, 15)])
    world.wait_ran("cancelled")
    world.client.wait_running(task.id)
    world.client.cancel(task.id)


@cloud
def cloud_start_never_arrives(world):
    """It is cancelled while its start is being repeated: the sandbox only waits, and is fenced."""
    world.cloud.script("faults: [{verbs: [start], fault: reset, effect: 0}]")
    task = world.submit_sim("fenced", "run=1h", [("CANCELLED", "CANCELLED", None, None)], runs=(0,))
    until(lambda: state_name(world.client.get(task.id).state) == "STARTING", "its start is on its way")
    world.client.cancel(task.id)


@cloud
def cloud_vanishes(world):
    task = world.submit_sim("vanished", "run=1h", [LOST])
    world.wait_ran("vanished")
    world.client.wait_running(task.id)
    world.cloud.vanish(world.client.get(task.id).sandbox.name)


@cloud
def cloud_launch_withdrawn(world):
    """A create that carries the command is refused with proof that nothing happened: the task may go back."""
    world.cloud.script("faults: [{verbs: [create], fault: status, status: 425, count: 6}]")
    world.submit_sim("withdrawn", "run=50ms exit=6", [_failed(6)])


cloud_launch_withdrawn.one_step = True
