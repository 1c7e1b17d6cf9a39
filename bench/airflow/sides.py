"""What is measured: one run of the DAG `trivial` under each executor, and the moments of each of its task instances."""

import dataclasses
import datetime
import os
import re
import statistics
import subprocess
import tempfile
import time

from tests.airflow.stand.world import World
from tests.harness.client import Subscriber
from tests.harness.stubs import task_pb2
from tests.harness.waiting import until

_PLUGIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plugin")
_HEARD = re.compile(r"^(\S+?)Z? .*Received executor event with state success for task instance .*task_id='each'.*map_index=(\d+)", re.MULTILINE)
# What all sides share. The runner looks for its child's end only once a heartbeat interval, unless a pipe wakes it at the right
# moment: with the default of 5 s that chance is most of what would be measured.
_SETTINGS = {"WORKERS__MIN_HEARTBEAT_INTERVAL": 1, "SCHEDULER__MAX_TIS_PER_QUERY": 256, "CORE__MAX_ACTIVE_TASKS_PER_DAG": 1000}
_PATIENCE_SECONDS = 1800


@dataclasses.dataclass
class Moments:
    """Of one task instance, in seconds since the epoch; those that a side does not have are None."""

    queued: float     # Airflow's database: the scheduler gave it to the executor
    running: float    # its runner told the API server that it begins
    ended: float      # ... that the user's code has ended
    heard: float      # the scheduler took the executor's event
    accepted: float = None  # the daemon stored it
    started: float = None   # the launcher attested that the command began
    exited: float = None    # ... that it has exited
    told: float = None      # the event was at a subscriber of the daemon
    processor: float = None  # seconds that all processes of the sandbox used


@dataclasses.dataclass
class Run:
    """One side, once."""

    tasks_per_second: float
    moments: list


def _seconds(text):
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)).timestamp()


def _instances(world, run):
    return {one["map_index"]: one for one in world.rest.instances("trivial", run).values() if one["task_id"] == "each"}


def _airflow_moments(world, run, count):
    """By map index. The scheduler's log says when it heard of an end."""
    until(lambda: len(_heard(world)) == count, "every end heard", 60, 0.2)
    heard = _heard(world)
    return {index: Moments(_seconds(one["queued_when"]), _seconds(one["start_date"]), _seconds(one["end_date"]), heard[index])
            for index, one in _instances(world, run).items()}


def _heard(world):
    return {int(index): _seconds(moment) for moment, index in _HEARD.findall(world.airflow.log_text("scheduler"))}


def _go(world, count):
    """A run to its end: its id."""
    run = world.trigger("trivial", world.airflow.place, count=count)
    states = world.rest.wait_for_run("trivial", run, _PATIENCE_SECONDS)
    assert len(states) == count + 1 and set(states.values()) == {("success", 1)}, states
    return run


def _result(moments):
    every = list(moments.values())
    span = max(one.ended for one in every) - min(one.queued for one in every)
    return Run(len(every) / span, every)


class _Told:
    """Follows an owner's events as a scheduler does, and notes when each end came."""

    def __init__(self, world, owner):
        self.at = {}
        self._subscriber = Subscriber(world.daemon.connect(), owner)
        self._subscriber.events = self  # it appends

    def append(self, event):
        if event.task.HasField("ended_at") and event.type == task_pb2.EVENT_TYPE_STATE:
            self.at.setdefault(event.task.key.index, time.time())

    def stop(self):
        self._subscriber.stop()


def sandboxed(count, parallelism, isolation):
    """SandboxExecutor. The daemon queues: a provider starts `parallelism` at a time."""
    daemon = {"providers": {"local": {"max_running": parallelism}}}
    with World(["trivial"], isolation=isolation, settings={**_SETTINGS, "CORE__PARALLELISM": count + 8}, daemon=daemon) as world:
        owner = until(lambda: re.search(r"owner (\S+),", world.airflow.log_text("scheduler")), "the executor's start").group(1)
        told = _Told(world, owner)
        try:
            run = _go(world, count)
            moments = _airflow_moments(world, run, count)
            until(lambda: len(told.at) > count, "every end told", 60)
        finally:
            told.stop()
        for task in world.tasks("trivial", run, "each"):
            one = moments[task.key.index]
            one.accepted, one.started, one.exited = (moment.ToNanoseconds() / 1e9 for moment in (task.accepted_at, task.started_at, task.ended_at))
            one.told, one.processor = told.at.get(task.key.index), task.cpu_seconds
        return _result(moments)


def raw(count, parallelism):
    """The same command by a loop of Popen."""
    settings = {**_SETTINGS, "CORE__PARALLELISM": count + 8, "CORE__EXECUTOR": "raw_executor.RawExecutor"}
    environment = {"PYTHONPATH": _PLUGIN, "BENCH_PARALLELISM": str(parallelism)}
    with World(["trivial"], isolation="none", settings=settings, environment=environment) as world:
        return _result(_airflow_moments(world, _go(world, count), count))


def local(count, parallelism):
    """LocalExecutor: forks a process that has imported Airflow."""
    with World(["trivial"], "local", settings={**_SETTINGS, "CORE__PARALLELISM": parallelism}) as world:
        return _result(_airflow_moments(world, _go(world, count), count))


def start_seconds(python, rounds=5):
    """{what: median seconds}: what every sandbox pays before it reads its workload."""
    commands = {"interpreter": ["-c", "pass"], "imports of the workload runner": ["-m", "airflow.sdk.execution_time.execute_workload", "--help"],
                "with those of the supervisor and the task": [
                    "-c", "import airflow.sdk.execution_time.execute_workload, airflow.executors.workloads, airflow.executors.base_executor, "
                          "airflow.sdk.execution_time.supervisor, airflow.sdk.execution_time.task_runner"]}
    with tempfile.TemporaryDirectory() as home:
        return {what: statistics.median(_seconds_of([python, *arguments], home) for _ in range(rounds)) for what, arguments in commands.items()}


def _seconds_of(command, home):
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   env={"PATH": "/usr/bin:/bin", "HOME": home, "AIRFLOW_HOME": home})
    return time.monotonic() - begun
