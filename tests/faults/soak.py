"""Random kills under load, round after round: daemon, boxlaunch, supervisors, alone and together. See tools/soak."""

import argparse
import collections
import datetime
import os
import random
import sys
import threading
import time

from tests.faults import evidence
from tests.faults.world import OWNER, World
from tests.harness.client import end, spec
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import SLOWNESS, until

# Tasks are judged and forgotten in chapters, so that a long soak does not grow.
_ROUNDS_PER_CHAPTER = 25
_VICTIMS = ["daemon"] * 6 + ["launcher"] * 2 + ["supervisor"] * 2 + ["daemon and launcher"] * 2 + ["everything"]
_LINES = 40


class Load(threading.Thread):
    """Keeps some tasks going: each appends to a file of its own, prints known lines, and ends in one of several ways."""

    def __init__(self, world, first, at_once):
        super().__init__(daemon=True)
        self._world, self._next, self._at_once = world, first, at_once
        self._stopped = threading.Event()
        self.ids, self.failure = {}, None
        self.start()

    def _item(self, number):
        code = number % 4
        pause = ("", "sleep 0.05; ", "sleep 0.3; ")[number % 3]
        shell = (f"echo ran >> {self._world.path('ran')}/{number}; n=0; while [ $n -lt {_LINES} ]; do echo line {number} $n; n=$((n+1)); done; "
                 f"{pause}echo last {number} >&2; {'kill -9 $$' if code == 3 else f'exit {code}'}")
        return spec(shell=shell, owner=OWNER, name=f"soak-{number}", override={"log": {"layout": "airflow" if number % 5 == 4 else "plain"}})

    def run(self):
        try:
            while not self._stopped.is_set():
                items = [self._item(number) for number in range(self._next, self._next + 4)]
                for number, result in enumerate(self._world.client.submit_all(items), self._next):
                    assert result.outcome in (executor_pb2.SubmitResult.ACCEPTED, executor_pb2.SubmitResult.DUPLICATE), result
                    self.ids[number] = result.id
                self._next += len(items)
                oldest = self.ids[max(min(self.ids), self._next - self._at_once)]
                self._world.client.wait(oldest)
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error

    def stop(self):
        self._stopped.set()
        self.join(120 * SLOWNESS)
        assert self.failure is None, self.failure
        assert not self.is_alive()
        return self.ids


def _expected_end(number):
    code = number % 4
    return ("FAILED", "SIGNAL", None, 9) if code == 3 else ("FAILED" if code else "SUCCEEDED", "EXIT_CODE", code, None)


def _expected_output(number):
    return "".join(f"line {number} {n}\n" for n in range(_LINES)).encode()


class Soak:
    """`rounds` kills in one world; `run` fails, naming the seed, when an account does not agree with another."""

    def __init__(self, world, seed):
        self._world, self._rng = world, random.Random(seed)
        self._pause = threading.Event()
        self.counts = collections.Counter()
        self.ids = {}  # of this chapter
        self._lossy = False  # in this chapter something died that may have taken an end with it
        os.makedirs(world.path("ran"), exist_ok=True)

    def run(self, rounds, progress=lambda _: None):
        next_number = 0
        while self.counts["rounds"] < rounds:
            self._lossy = False
            load = Load(self._world, next_number, at_once=16)
            self.ids = load.ids
            for _ in range(min(_ROUNDS_PER_CHAPTER, rounds - self.counts["rounds"])):
                # Random moments are the point here; most of them after the start is done, so that there is something to lose.
                if self._rng.random() < 0.8:
                    until(lambda: self._world.keeper.failure or self._world.client.health() == 1, "it serves")
                self._pause.wait(self._rng.random() * 0.6)
                self._kill(self._rng.choice(_VICTIMS))
                self._world.alive()
                if load.failure:
                    break
                self.counts["rounds"] += 1
            ids = load.stop()
            self._judge(ids)
            next_number += len(ids)
            progress(self.counts)

    def _kill(self, victim):
        self.counts[victim] += 1
        world = self._world
        self._note(victim)
        if "daemon" in victim or victim == "everything":
            world.daemon.process.kill()
        if victim == "daemon":
            return
        self._lossy = True
        supervisors = world.daemon.supervisor_pids()
        if victim == "supervisor":
            self._send(self._rng.choice(supervisors) if supervisors else None)
        else:
            self._send(world.daemon.launcher_pid())
        if victim == "everything":
            for pid in supervisors:
                self._send(pid)

    def _note(self, text):
        """When was whom killed, for the one who has to explain a failure."""
        with open(self._world.path("kills.txt"), "a", encoding="utf-8") as file:
            file.write(f"{datetime.datetime.now().isoformat(timespec='milliseconds')} {text}\n")

    def _send(self, pid):
        if pid is not None and self._world.daemon.kill_launcher_process(pid):
            self._note(f"  {pid}")
            self.counts["killed beside the daemon"] += 1

    def _judge(self, ids):
        client = self._world.client
        tasks = {t.id: t for t in client.wait_all(list(ids.values()), executor_pb2.WaitTaskRequest.LOG_COMPLETE, seconds=180)}
        for number, task_id in ids.items():
            self._judge_task(number, tasks[task_id])
        told = set(ids.values())
        until(lambda: self._world.told() >= told, "every end was told")
        until(lambda: not self._world.sandboxes(), "no sandbox is left")
        self._world.judge_events(told)

    def _judge_task(self, number, task):
        path = f"{self._world.path('ran')}/{number}"
        runs = 0
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                runs = file.read().count("ran\n")
            os.remove(path)
        assert runs <= 1, f"task {number} ran {runs} times"
        self.counts["tasks"] += 1
        if end(task)[:2] == ("LOST", "SANDBOX_LOST") and self._lossy:
            self.counts["lost with their supervisor"] += 1
            return
        assert end(task) == _expected_end(number), (number, end(task), task.message)
        assert runs == 1, f"task {number} never ran"
        expected = _expected_output(number)
        assert self._world.client.log(task.id) == expected, number
        if task.log.layout == "plain":
            assert self._world.daemon.stored_log(task) == expected, number
            assert self._world.daemon.stored_log(task, "stderr") == f"last {number}\n".encode(), number


def soak(rounds, seed, progress=lambda _: None):
    """Counts of what happened in `rounds` rounds; raises where a promise was broken, with the evidence in a folder that it names."""
    with World({"scheduling": {"max_running": 12, "poll_interval": "300ms"}}) as world:
        world.start()
        work = Soak(world, seed)
        try:
            work.run(rounds, progress)
            world.judge()
        except Exception as failure:
            evidence.keep(world, evidence.folder(f"soak-{seed}"), list(work.ids.values()), failure)
            raise
        return work.counts


def main():
    parser = argparse.ArgumentParser(prog="tools/soak", description="Random kill -9 under load; every account must agree afterwards.")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else int(time.time())
    print(f"seed {seed}", flush=True)
    started = time.monotonic()

    def progress(counts):
        print(f"{time.monotonic() - started:6.0f} s  " + ", ".join(f"{name} {count}" for name, count in counts.items()), flush=True)

    soak(options.rounds, seed, progress)
    print(f"no promise was broken in {options.rounds} rounds")


if __name__ == "__main__":
    sys.exit(main())
