"""Outputs as a way out: a hostile task wants its outputs to be the host's files."""

import os

import pytest

from tests.breakout import prison
from tests.harness.client import end, spec
from tests.harness.daemon import Daemon
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import until

LOG_COMPLETE = executor_pb2.WaitTaskRequest.LOG_COMPLETE


def _collected(daemon, task):
    request = executor_pb2.ListArtifactsRequest()
    request.task.id = task.id
    contents = {}
    for artifact in daemon.client.call(daemon.client.executor.ListArtifacts, request).outputs.artifacts:
        read = executor_pb2.ReadArtifactRequest(path=artifact.path)
        read.task.id = task.id
        contents[artifact.path] = b"".join(piece.data for piece in daemon.client.executor.ReadArtifact(read, timeout=60))
    return contents


def _config(run_as, isolation):
    return {"providers": {"local": {"isolation": isolation, "run_as": run_as}}}


@pytest.mark.parametrize("case", ["root", "root-running-as-nobody", "ordinary-user"])
def test_no_name_leads_out_of_the_sandbox(case, needs_bubblewrap):
    user = prison.NOBODY if case == "ordinary-user" else None
    with Daemon(_config("nobody" if "nobody" in case else "", "bubblewrap"), user=user) as daemon:
        os.chmod(daemon.folder, 0o755)
        daemon.start()
        with prison.Bait(daemon.folder, user) as bait:
            secret = bait.secret_file
            task = daemon.client.run(spec(
                shell=f"echo mine > mine; ln -s {secret} link; ln -s / root; ln -s {os.path.dirname(secret)} folder; mkfifo fifo; "
                      f"ln -s /proc/self/root{secret} magic; ln -s /proc/1/root up; truncate -s 4T hole; ln {secret} hard 2>&1; "
                      "mkdir -p d; ln -s ../link d/link; true",
                override={"outputs": ["*", "**/secret.txt", secret, f"root{secret}", "folder/*", f"up{secret}", f"/proc/1/root{secret}",
                                      f"/proc/self/root{secret}", "/proc/1/environ", "/proc/*/maps", "/dev/zero", "/dev/mem",
                                      "/etc/shadow", f"{daemon.state_dir}/identity/key", "/sys/**"]}), seconds=120)
            assert end(task)[0] == "SUCCEEDED"
            assert _collected(daemon, task) == {"mine": b"mine\n"}
            assert daemon.client.wait(task.id, until=LOG_COMPLETE).log.complete


def test_without_isolation_the_rights_of_the_user_are_the_border():
    if os.geteuid() != 0:
        pytest.skip("needs root, to run tasks as another user")
    with Daemon(_config("nobody", "none")) as daemon:
        os.chmod(daemon.folder, 0o755)
        secret = os.path.join(daemon.folder, "secret.txt")
        with open(secret, "w", encoding="utf-8") as file:
            file.write("root's\n")
        os.chmod(secret, 0o600)
        daemon.start()
        task = daemon.client.run(spec(
            shell=f"echo mine > mine; ln -s {secret} link; ln {secret} hard 2>/dev/null; true",
            override={"outputs": ["*", secret, "/etc/shadow", f"{daemon.state_dir}/identity/key"]}))
        assert _collected(daemon, task) == {"mine": b"mine\n"}


def test_a_file_that_is_swapped_for_a_link_while_it_is_collected():
    """The swapper is a stranger to the task, as a volume shared with another one would let it be; nobody's rights read nothing of root's."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to run tasks as another user")
    with Daemon(_config("nobody", "none")) as daemon:
        os.chmod(daemon.folder, 0o755)
        secret, shared = os.path.join(daemon.folder, "secret.txt"), os.path.join(daemon.folder, "shared")
        with open(secret, "w", encoding="utf-8") as file:
            file.write("root's\n")
        os.chmod(secret, 0o600)
        os.makedirs(shared)
        os.chmod(shared, 0o777)
        daemon.start()
        ids = [daemon.client.submit(spec(shell="true", override={"outputs": [f"{shared}/*", f"{shared}/x/secret.txt"]})) for _ in range(10)]
        swaps = 0

        def ended():
            nonlocal swaps
            for make in (lambda: open(f"{shared}/y", "w", encoding="utf-8").close(), lambda: os.symlink(secret, f"{shared}/y")):
                make()
                os.rename(f"{shared}/y", f"{shared}/x")
                swaps += 1
            return all(daemon.client.get(i).state >= 6 for i in ids)

        until(ended, "every task", seconds=60)
        assert swaps > 2
        for task_id in ids:
            for content in _collected(daemon, daemon.client.get(task_id)).values():
                assert b"root's" not in content


def test_a_task_cannot_keep_us_collecting():
    """More than may be taken, deeper than is walked: its end comes all the same."""
    overlay = _config("", "none")
    overlay["outputs"] = {"max_files": 10, "timeout": "2s"}
    with Daemon(overlay) as daemon:
        daemon.start()
        task = daemon.client.run(spec(
            python="import os\nos.mkdir('d')\nfor n in range(20000): open(f'd/{n}', 'w').close()\n"
                   "for n in range(200):\n    os.mkdir('deep')\n    os.chdir('deep')\n",
            override={"outputs": ["**/**/**/*x", "d", "deep"]}), seconds=120)
        assert end(task)[0] == "SUCCEEDED" and task.outputs.files <= 10 and task.outputs.skipped > 0
