"""The command line against a real daemon: exit codes and output that scripts rely on."""

import json
import os
import signal
import subprocess

import pytest

from tests.harness.client import forever, spec, state_name
from tests.harness.daemon import BOXCTL
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import until


@pytest.mark.parametrize(("arguments", "code", "last"), [
    (["--", "true"], 0, None),
    (["--shell", "exit 7"], 7, None),
    (["--shell", "kill -9 $$"], 137, None),
    (["--timeout", "1s", "--", *forever()], 124, "FAILED/RUN_TIMEOUT"),
    (["--", "/no/such/program"], 125, "FAILED/START_FAILED"),
    (["--image", "alpine", "--", "true"], 125, "image"),
])
def test_run_passes_the_commands_end(shared, arguments, code, last):
    done = shared.boxctl("run", *arguments)
    assert done.returncode == code, done
    if last:
        line = done.stderr.decode().splitlines()[-1]
        assert line.startswith("boxctl: ") and last in line


def test_run_shows_the_output_on_the_streams_it_came_from(shared):
    done = shared.boxctl("run", "--shell", "echo out; echo err >&2")
    assert (done.stdout, done.returncode) == (b"out\n", 0) and b"err\n" in done.stderr


def test_nobody_there_is_125_and_bad_usage_is_2():
    environment = {"PATH": os.environ["PATH"]}
    away = subprocess.run([BOXCTL, "--server", "unix:/tmp/no-such-socket", "run", "--", "true"], check=False,
                          capture_output=True, timeout=60, env=environment)
    assert away.returncode == 125 and b"boxctl: " in away.stderr
    usage = subprocess.run([BOXCTL, "run", "--no-such-flag"], check=False, capture_output=True, timeout=60, env=environment)
    assert usage.returncode == 2


def test_submit_wait_get_and_ls_speak_json(shared):
    done = shared.boxctl("submit", "-o", "name", "-l", "suite=boxctl", "--key", "default/TASK/dag/run/extract/-1/1", "--", "true")
    task_id = done.stdout.decode().strip()
    assert len(task_id) == 26, done
    assert shared.boxctl("wait", task_id).returncode == 0
    task = json.loads(shared.boxctl("get", "-o", "json", task_id).stdout)
    assert (task["id"], task["state"], task["reason"], task["exit_code"]) == (task_id, "SUCCEEDED", "EXIT_CODE", 0)
    assert "signal" not in task and task["key_string"] == "default/TASK/dag/run/extract/-1/1"
    listed = json.loads(shared.boxctl("ls", "-o", "json", "-l", "suite=boxctl").stdout)
    assert [t["id"] for t in listed["tasks"]] == [task_id] and listed["next_page_token"] == ""
    assert shared.boxctl("ls", "-o", "name", "-l", "suite=boxctl").stdout.decode().split() == [task_id]


def test_wait_says_how_it_went(shared):
    good, bad = shared.client.submit(spec(argv=["true"])), shared.client.submit(spec(argv=["false"]))
    live = shared.client.submit(spec(argv=forever()))
    assert shared.boxctl("wait", good).returncode == 0
    assert shared.boxctl("wait", good, bad).returncode == 1
    assert shared.boxctl("wait", "--timeout", "200ms", live).returncode == 124
    assert shared.boxctl("cancel", "--force", live).returncode == 0
    assert shared.boxctl("wait", live).returncode == 1


def test_a_script_from_a_file_runs(shared, tmp_path):
    script = tmp_path / "job.py"
    script.write_text("import sys\nprint('from python', sys.version_info[0])\n")
    done = shared.boxctl("run", str(script))
    assert (done.returncode, done.stdout) == (0, b"from python 3\n"), done


def test_a_foreground_run_that_vanishes_cancels_its_task(shared):
    command = [BOXCTL, "--server", f"unix:{shared.socket}", "run", "-l", "suite=vanish", "--", *forever()]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        task = until(lambda: shared.client.list(labels={"suite": "vanish"}), "submitted")[0]
        shared.client.wait_running(task.id)
        process.send_signal(signal.SIGKILL)
    ended = shared.client.wait(task.id, executor_pb2.WaitTaskRequest.END, seconds=90)
    assert state_name(ended.state) == "CANCELLED" and ended.reason == 18


def test_status_providers_and_sandboxes(shared):
    status = json.loads(shared.boxctl("status", "-o", "json").stdout)
    assert status["ready"] is True and status["draining"] is False
    providers = json.loads(shared.boxctl("providers", "-o", "json").stdout)["providers"]
    assert [(p["name"], p["type"], p["reachable"]) for p in providers] == [("local", "local", True)]
    live = shared.client.submit(spec(argv=forever()))
    shared.client.wait_running(live)
    sandboxes = json.loads(shared.boxctl("sandboxes", "-o", "json").stdout)["sandboxes"]
    assert [s["state"] for s in sandboxes if s["task_id"] == live] == ["running"]
    shared.client.cancel(live, force=True)
    assert shared.boxctl("doctor").returncode == 0


def test_cancel_and_events(shared):
    live = shared.client.submit(spec(argv=forever(), owner="test:boxctl"))
    shared.client.wait_running(live)
    assert shared.boxctl("cancel", live).returncode == 0
    shared.client.wait(live)
    lines = shared.boxctl("events", "--owner", "test:boxctl", "-o", "jsonl").stdout.decode().splitlines()
    states = [json.loads(line)["task"]["state"] for line in lines if json.loads(line)["type"] == "STATE"]
    assert states[0] == "QUEUED" and states[-1] == "CANCELLED"


def test_a_foreground_run_shows_each_line_once_across_kill_9(daemon, tmp_path):
    gate = tmp_path / "gate"
    script = f"echo one; echo eins >&2; while ! test -e {gate}; do sleep 0.05; done; echo two; echo zwei >&2; exit 5"
    command = [BOXCTL, "--server", f"unix:{daemon.socket}", "run", "--shell", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"one\n"
        daemon.kill()
        gate.touch()
        daemon.start()
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (5, b"two\n", b"eins\nzwei\n")


def test_ctrl_c_cancels_and_shows_the_output_to_the_end(shared):
    script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    command = [BOXCTL, "--server", f"unix:{shared.socket}", "run", "--shell", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (125, b"bye\n")
    assert err.decode().splitlines()[-1].startswith("boxctl: CANCELLED/CANCELLED: ")
