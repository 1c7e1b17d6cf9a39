"""The demo itself: submits the tasks, follows a log, kills the daemon, shows how everything ended."""

import json
import os
import shlex
import subprocess
import sys
import threading
import time

from tools.demo_lib.service import Service

HERE = os.path.dirname(os.path.abspath(__file__))
PARALLEL = 50
KILL_AFTER_LINES = 4


def say(text=""):
    print(text, flush=True)


def submit(service, name, options, command, show=True):
    """Submits one task by boxctl; returns its id."""
    arguments = ["submit", "-o", "name", "--key", f"demo/COMMAND//{os.getpid()}/{name}/-1/1", *options, "--", *command]
    if show:
        say(f"  $ boxctl {shlex.join(arguments)}")
    done = service.boxctl(*arguments)
    if done.returncode != 0:
        raise RuntimeError(f"submit of {name} failed: {done.stderr}")
    return done.stdout.strip()


def submit_all(service):
    """Submits the demo's tasks; returns ids by name, the parallel ones last."""
    say("2. Four kinds of tasks. Each is on disk before boxctl answers.")
    primes = f"{os.path.relpath(os.path.join(HERE, 'primes.py'))}:primes.py"
    ids = {
        "primes": submit(service, "primes", ["--file", primes], ["python3", "primes.py"]),
        "broken": submit(service, "broken", [], ["python3", "-c", "raise SystemExit(3)"]),
        "too-slow": submit(service, "too-slow", ["--timeout", "3s"], ["tail", "-f", "/dev/null"]),
    }
    say(f"  ... and {PARALLEL} in parallel, each of which writes one line to its log: a second run would write a second one")
    for number in range(PARALLEL):
        script = f"echo ran; sleep {2 + number % 5}"
        ids[f"parallel-{number}"] = submit(service, f"parallel-{number}", [], ["sh", "-c", script], show=False)
    return ids


class Crash(threading.Thread):
    """Kills the daemon with -9 and starts it again, while the log is being followed."""

    def __init__(self, service):
        super().__init__()
        self._service = service
        self.error = None

    def run(self):
        try:
            self._service.kill()
            alive = len(self._service.processes())
            say(f"     --- kill -9: the daemon is dead, {alive} processes of the tasks and their supervisors live on ---")
            started = time.monotonic()
            self._service.start()
            say(f"     --- started again: serving after {time.monotonic() - started:.2f} s, the log goes on ---")
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            self.error = error


def follow(service, task_id):
    """Shows a task's log while it runs, through the crash; returns what was shown."""
    say()
    say("3. The log of 'primes', live; in the middle the daemon is killed.")
    shown, crash = b"", None
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        command = service.command("logs", "-f", "--offset", str(len(shown)), task_id)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as logs:
            for line in logs.stdout:
                shown += line
                say(f"     | {line.decode().rstrip()}")
                if crash is None and shown.count(b"\n") == KILL_AFTER_LINES:
                    crash = Crash(service)
                    crash.start()
        if crash:
            crash.join()
            if crash.error:
                raise crash.error
        if logs.returncode == 0:
            return shown.decode()
    raise RuntimeError("the log did not end")


def describe(task):
    """How a task ended, in words."""
    reason = task["reason"]
    if reason == "EXIT_CODE":
        return "finished, exit code 0" if task["exit_code"] == 0 else f"your command failed with exit code {task['exit_code']}"
    return {
        "SIGNAL": f"killed by signal {task.get('signal')}",
        "RUN_TIMEOUT": "stopped: it ran longer than its timeout",
    }.get(reason, f"{reason}: {task['message']}")


def judge(service, ids, log):
    """Rows (task, what was expected, how it ended, right?) of the final table."""
    tasks = {name: json.loads(service.boxctl("get", "-o", "json", task_id).stdout) for name, task_id in ids.items()}
    ends = {name: (task["state"], task["reason"], task.get("exit_code")) for name, task in tasks.items()}
    rows = []
    for name, want, is_right in [
        ("primes", "succeeds, 10 log lines", lambda: ends["primes"] == ("SUCCEEDED", "EXIT_CODE", 0) and log.count("\n") == 10),
        ("broken", "fails with exit code 3", lambda: ends["broken"] == ("FAILED", "EXIT_CODE", 3)),
        ("too-slow", "stopped after 3 s", lambda: ends["too-slow"][:2] == ("FAILED", "RUN_TIMEOUT")),
    ]:
        rows.append((name, want, tasks[name]["state"], describe(tasks[name]), is_right()))
    succeeded = once = 0
    for number in range(PARALLEL):
        succeeded += ends[f"parallel-{number}"] == ("SUCCEEDED", "EXIT_CODE", 0)
        once += service.boxctl("logs", ids[f"parallel-{number}"]).stdout == "ran\n"
    rows.append((f"{PARALLEL} parallel", "all succeed, each run once", "SUCCEEDED" if succeeded == PARALLEL else "MIXED",
                 f"{succeeded} finished, {once} ran exactly once", succeeded == once == PARALLEL))
    return rows


def task_processes(service):
    """How many processes beside the daemon and its launcher are left; gives supervisors a moment to leave."""
    deadline = time.monotonic() + 5
    while (left := len(service.processes()) - 2) > 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    return max(left, 0)


def show_table(rows):
    say()
    say("4. How everything ended, although the daemon was killed while all of it was running:")
    say()
    line = "  {:12}  {:27}  {:10}  {:42}  {}"
    say(line.format("task", "should", "state", "what happened", "right?"))
    for name, want, state, words, right in rows:
        say(line.format(name, want, state, words, "yes" if right else "NO"))
    say()


def run(service):
    """The whole demo; returns whether every end was right."""
    if service.arguments:
        say("1. The daemon: local processes, SQLite, logs as files. The default ports 7433 and 7434 are taken on this machine,")
        say("   so it gets a small configuration with other addresses.")
    else:
        say("1. The daemon, on its embedded defaults: local processes, SQLite, logs as files, no configuration.")
    service.start()
    say(f"  boxkeeperd serves on {service.server}; its state is in {service.folder}")
    say()
    ids = submit_all(service)
    log = follow(service, ids["primes"])
    service.boxctl("wait", "--timeout", "60s", *ids.values())
    rows = judge(service, ids, log)
    show_table(rows)
    left = task_processes(service)
    if left:
        say(f"  {left} processes of ended tasks are still there")
    return all(row[-1] for row in rows) and left == 0


def main():
    service = Service(sys.argv[1])
    right = False
    try:
        right = run(service)
    except (OSError, RuntimeError, KeyError, ValueError, subprocess.SubprocessError) as error:
        say(f"demo: {error}")
        say(f"demo: the daemon's last words:\n{service.log()[-3000:]}")
    finally:
        left = service.remove()
    if left:
        say(f"demo: {left} processes could not be removed")
    say("Every task had its right end; nothing is left behind." if right and not left else "Something went wrong, see above.")
    return 0 if right and not left else 1


if __name__ == "__main__":
    sys.exit(main())
