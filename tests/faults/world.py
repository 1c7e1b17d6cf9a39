"""One daemon that may die at any moment, the tasks given to it, and the judge of what became of them.

The judge compares four accounts of the same tasks: what the API says, the events, what the tasks did in the world (each
appends a line to a file of its own when it runs), and the stored logs; then the store itself, with the daemon gone."""

import contextlib
import glob
import json
import os
import re
import signal
import threading
import time

import grpc

from tests.faults import store_check
from tests.harness import processes
from tests.harness.client import TERMINAL, Client, Subscriber, end, spec, state_name
from tests.harness.daemon import BIN, Daemon
from tests.harness.gate import Gate
from tests.harness.stubs import ROOT, admin_pb2, executor_pb2, task_pb2
from tests.harness.waiting import SLOWNESS, until

OWNER = "test:faults"
ARMED_DAEMON = os.path.join(BIN, "tests", "faults", "boxkeeperd_faults")
ARMED_LAUNCHER = os.path.join(BIN, "tests", "faults", "boxlaunch_faults")
# In an environment variable of a task; must be nowhere else (I14).
CANARY = "canary-51c3a8e0-never-to-be-seen"


def _legal_moves():
    """(from, to) pairs of the state machine, from the one table in the code."""
    with open(os.path.join(ROOT, "daemon", "core", "states.cc"), encoding="utf-8") as file:
        rows = re.findall(r"\{k(\w+), k\w+, k(\w+)\}", file.read())
    assert len(rows) > 20
    return {tuple(name.removesuffix("State").upper() for name in row) for row in rows}


LEGAL_MOVES = _legal_moves()


class PersistentClient(Client):
    """Repeats calls that a dying daemon left without an answer, as a scheduler behind a broken connection does."""

    def call(self, method, request, seconds=30, wait=True):
        deadline = time.monotonic() + 60 * SLOWNESS
        while True:
            try:
                return super().call(method, request, seconds, wait)
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED) or time.monotonic() > deadline:
                    raise

    def submit(self, task_spec):
        result = self.submit_all([task_spec])[0]
        assert result.outcome in (executor_pb2.SubmitResult.ACCEPTED, executor_pb2.SubmitResult.DUPLICATE), result
        return result.id

    def events(self, owner, cursor=""):
        while True:
            try:
                return super().events(owner, cursor)
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                    raise


class Keeper(threading.Thread):
    """Starts the daemon again whenever it was killed or has handed over. A fault point kills once in a world, so a new start
    is as if nothing were armed."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self._daemon, self._stopped = daemon, threading.Event()
        self.kills, self.failure, self.on_death = 0, None, lambda: None

    def run(self):
        while not self._stopped.is_set():
            code = self._daemon.process.wait()
            if self._stopped.is_set():
                return
            if code not in (-signal.SIGKILL, 0):
                self.failure = f"boxkeeperd left with {code}:\n{self._daemon.log_tail()}"
                return
            self.kills += code == -signal.SIGKILL
            self.on_death()
            self._daemon.launch()

    def stop(self):
        """From here on the daemon's end is the test's own doing."""
        self._stopped.set()


class Submitted:
    """One task: what was asked for, and how it may end."""

    def __init__(self, name, task_id, ends, output, runs):
        self.name, self.id = name, task_id
        self.ends, self.output, self.runs = ends, output, runs
        self.files = None  # its outputs by path, where it asked for some


def _judge_order(name, own):
    """The events of one task: legal moves, one end, and after it only what may follow."""
    states = [state_name(e.task.state) for e in own if e.type == task_pb2.EVENT_TYPE_STATE]
    assert states[:1] == ["QUEUED"], (name, states)
    assert all(move in LEGAL_MOVES for move in zip(states, states[1:])), (name, states)
    ends = [i for i, e in enumerate(own) if e.type == task_pb2.EVENT_TYPE_STATE and e.task.state in TERMINAL]
    assert len(ends) == 1, (name, states)
    after = {task_pb2.EventType.Name(e.type) for e in own[ends[0] + 1:]}
    assert after <= {"EVENT_TYPE_LOG_COMPLETE", "EVENT_TYPE_OWNER_CHANGED", "EVENT_TYPE_OWNER_LOST"}, (name, after)


class World:
    """Use as a context manager around one test."""

    owner = OWNER

    def __init__(self, config=None, failpoint=None, launcher_failpoint=None):
        scheduling = {"retry_backoff": {"initial": "50ms", "max": "200ms"}, "orphan_grace": "1s"}
        config = config or {}
        self._overlay = {**config, "scheduling": {**scheduling, **config.get("scheduling", {})}}
        self.daemon = Daemon(self._overlay)
        self.failpoint = failpoint
        self.daemon.program = ARMED_DAEMON
        self.daemon.launcher = self._make_launcher(launcher_failpoint)
        self.client = PersistentClient(f"unix:{self.daemon.socket}")
        self.keeper = Keeper(self.daemon)
        self.subscriber = None
        self.tasks, self._gates = [], []
        self.oldest_cursor = "c0"  # from before the first event

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.keeper.stop()
        if self.subscriber:
            self.subscriber.stop()
        self.client.close()
        self.daemon.remove()

    def arm(self, failpoint):
        """From its next start on the daemon kills itself, once, when it passes `failpoint`."""
        self.daemon.environment.update({"BOXKEEPER_FAILPOINT": failpoint, "BOXKEEPER_FAILPOINT_ONCE": self.path("daemon.passed")})

    def _make_launcher(self, failpoint):
        """The daemon starts its launcher with next to no environment: this program adds what arms it."""
        path = self.path("launcher.sh")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/bash\n[ ! -e '{self.path('launcher.away')}' ] || exit 1\n"
                       f"export BOXKEEPER_FAILPOINT='{failpoint or ''}' BOXKEEPER_FAILPOINT_ONCE='{self.path('launcher.passed')}'\n"
                       f"exec -a boxlaunch '{ARMED_LAUNCHER}' \"$@\"\n")
        os.chmod(path, 0o755)
        return path

    def launcher_away(self):
        """Kills the launcher; none can be started until the file that is returned is removed."""
        path = self.path("launcher.away")
        with open(path, "w", encoding="utf-8"):
            pass
        os.kill(until(self.daemon.launcher_pid, "a launcher"), signal.SIGKILL)
        return path

    def wait_passed(self, program):
        """Until the fault point of "daemon" or "launcher" has killed."""
        until(lambda: self.keeper.failure or os.path.exists(self.path(program + ".passed")), f"the {program} passes its fault point")
        self.alive()

    def start(self):
        """Starts the daemon, whatever becomes of it, and follows its events."""
        self.daemon.launch()
        self.keeper.start()
        self.subscriber = Subscriber(self.client, OWNER)
        return self

    def reconfigure(self, overlay):
        """Another configuration file, and a hand-over to the start that reads it."""
        until(lambda: self.client.health() == 1, "it serves, and hears signals")
        self.daemon.configure({**self._overlay, **overlay})
        old = self.daemon.process
        old.send_signal(signal.SIGTERM)
        until(lambda: self.daemon.process is not old, "the next start")

    def path(self, name):
        return os.path.join(self.daemon.folder, name)

    def submit(self, name, shell, ends, output=None, runs=(1,), secret=False, **fields):
        """A task that appends a line to ran.NAME when it runs. `ends`: the ends it may come to; `output`: its whole stdout
        where it ends by itself; `runs`: how often it may have run."""
        item = spec(shell=f"echo ran >> {self.path('ran.' + name)}; {shell}", name=name, owner=OWNER, **fields)
        return self._submit(name, item, ends, output, runs, secret)

    def submit_argv(self, name, argv, ends, runs=(0,), **fields):
        return self._submit(name, spec(argv=argv, name=name, owner=OWNER, **fields), ends, None, runs, False)

    def _submit(self, name, item, ends, output, runs, secret):
        if secret:
            item.secrets["TOKEN"].value = CANARY
        task = Submitted(name, self.client.submit(item), ends, output, runs)
        self.tasks.append(task)
        return task

    def gate(self, name="gate"):
        """A gate that lasts as long as this world."""
        self._gates.append(Gate(self.daemon.folder, name))
        return self._gates[-1]

    def ran(self, name):
        """How often the task's command was executed."""
        try:
            with open(self.path("ran." + name), encoding="utf-8") as file:
                return file.read().count("ran\n")
        except FileNotFoundError:
            return 0

    def wait_ran(self, name):
        until(lambda: self.ran(name), f"{name} runs")

    def alive(self):
        """Raises if the daemon left in a way that no test asked for."""
        assert self.keeper.failure is None, self.keeper.failure

    def expose_canary(self):
        """Files of the folder that hold the canary; empty is good."""
        found = []
        for path in glob.glob(os.path.join(self.daemon.folder, "**"), recursive=True):
            with contextlib.suppress(OSError):
                if os.path.isfile(path):
                    with open(path, "rb") as file:
                        if CANARY.encode() in file.read():
                            found.append(path)
        return found

    def judge(self):
        """Waits until everything came to its end, then compares all accounts."""
        ids = [task.id for task in self.tasks]
        if ids:
            self.client.wait_all(ids, executor_pb2.WaitTaskRequest.LOG_COMPLETE, seconds=60)
        self.alive()
        until(lambda: not self.sandboxes(), "no sandbox left")
        before = {task.id: self._judge_task(task) for task in self.tasks}
        until(lambda: self.told() >= set(ids), "every end was told")
        self.judge_events(set(ids))
        self._judge_restart(before)
        store_check.check(self.daemon.state_dir)
        assert not self.expose_canary(), self.expose_canary()

    def sandboxes(self):
        """Every sandbox that a provider still has."""
        return self.client.call(self.client.admin.ListSandboxes, admin_pb2.ListSandboxesRequest()).sandboxes

    def _judge_task(self, task):
        told = self.client.get(task.id)
        assert told.state in TERMINAL and end(told) in task.ends, (task.name, end(told), told.message)
        runs = self.ran(task.name)
        assert runs in task.runs, (task.name, runs, end(told))
        if told.user_code_started == task_pb2.USER_CODE_STARTED_NO:
            assert runs == 0, (task.name, "ran, though it is told that it never did")
        if end(told)[1] in ("EXIT_CODE", "SIGNAL"):
            assert told.user_code_started == task_pb2.USER_CODE_STARTED_YES
            if task.output is not None:
                assert self.client.log(task.id) == task.output, task.name
                if told.log.layout == "plain" or not told.log.layout:
                    assert (self.daemon.stored_log(told) if task.output else b"") == task.output, task.name
        if task.files is not None:
            assert self._read_outputs(task.id) == task.files, task.name
            assert self._stored_outputs(task.id) == task.files, task.name
        return told

    def _read_outputs(self, task_id):
        request = executor_pb2.ListArtifactsRequest()
        request.task.id = task_id
        files = {}
        for artifact in self.client.call(self.client.executor.ListArtifacts, request).outputs.artifacts:
            request = executor_pb2.ReadArtifactRequest(path=artifact.path)
            request.task.id = task_id
            files[artifact.path] = b"".join(piece.data for piece in self.client.executor.ReadArtifact(request, timeout=60))
        return files

    def _stored_outputs(self, task_id):
        """By the store's own manifest; there must be nothing beside what it names."""
        folder = f"{self.daemon.folder}/logs/_boxkeeper/{task_id}/outputs"
        if not os.path.isdir(folder):
            return {}
        with open(f"{folder}/manifest.json", encoding="utf-8") as file:
            artifacts = json.load(file)["artifacts"]
        assert len(os.listdir(folder)) == len(artifacts) + 1
        files = {}
        for artifact in artifacts:
            with open(f"{self.daemon.folder}/logs/{artifact['object']}", "rb") as file:
                files[artifact["path"]] = file.read()
        return files

    def told(self):
        """Ids of the tasks whose log is told to be complete."""
        return {e.task.id for e in self.subscriber.events if e.type == task_pb2.EVENT_TYPE_LOG_COMPLETE}

    def judge_events(self, ids):
        """I7: the stream as it was followed over all deaths is the stream as it is read now, and that of each of `ids` is in
        order and has one end."""
        def followed():
            return list({e.cursor: e for e in self.subscriber.events}.values())

        whole = until(lambda: self._when_equal(followed), "the stream that was followed is the one that is read now", 10)
        assert [(e.type, e.task.state) for e in followed()] == [(e.type, e.task.state) for e in whole]
        own_of = {task_id: [] for task_id in ids}
        for event in whole:
            own_of.setdefault(event.task.id, []).append(event)
        for task_id in ids:
            _judge_order(task_id, own_of[task_id])

    def _when_equal(self, followed):
        whole = self.client.events(OWNER, self.oldest_cursor)
        return [e.cursor for e in followed()] == [e.cursor for e in whole] and whole

    def _judge_restart(self, before):
        """I1 and I9: what the next start reads is what this one told."""
        self.keeper.stop()
        assert self.daemon.terminate() == 0, self.daemon.log_tail()
        self.daemon.start()
        for task_id, told in before.items():
            assert self.client.get(task_id) == told
        orphans = self.client.call(self.client.admin.ListOrphans, admin_pb2.ListOrphansRequest()).orphans
        assert not orphans, orphans
        self.subscriber.stop()
        assert self.daemon.terminate() == 0, self.daemon.log_tail()
        until(lambda: {os.path.basename("".join(processes.arguments(p)[:1])) for p in processes.of_folder(self.daemon.folder)}
              <= {"", "boxlaunch", "fakecloudd"}, "only launcher and cloud are left")
