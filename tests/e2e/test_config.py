"""The configuration file: every mistake at once, reload, locks, and addresses that are refused."""

import os
import signal
import subprocess

import pytest

from tests.harness.client import end, spec
from tests.harness.daemon import DAEMON, Daemon
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import SLOWNESS, until


MISTAKES = """\
state_dir: {state}
server: {{listen: "127.0.0.1:0", colour: blue}}
http: {{listen: "127.0.0.1:0"}}
scheduling:
  max_running: many
  creation_batch_size: 0
  poll_interval: 5
default_provider: nowhere
providers:
  local: {{type: local, isolation: none}}
"""


def _run(arguments, **environment):
    return subprocess.run([DAEMON, *arguments], check=False, capture_output=True, text=True, timeout=60 * SLOWNESS,
                          stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], **environment})


def test_five_mistakes_give_five_located_messages_and_exit_2(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(MISTAKES.format(state=tmp_path / "state"))
    for arguments in (["--check_config"], []):
        done = _run(["--config", str(config), *arguments])
        assert done.returncode == 2, done
        for line, key in [(2, "server.colour"), (5, "scheduling.max_running"), (6, "scheduling.creation_batch_size"),
                          (7, "scheduling.poll_interval"), (8, "default_provider")]:
            found = [m for m in done.stderr.splitlines() if f"{config}:{line}:" in m and key in m]
            assert len(found) == 1, (line, key, done.stderr)
        assert len([m for m in done.stderr.splitlines() if f"{config}:" in m]) == 5
        assert not (tmp_path / "state" / "state.db").exists()


def test_a_good_file_passes_the_check_and_nothing_is_started(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(f"state_dir: {tmp_path}/state\nproviders: {{local: {{type: local, isolation: none}}}}\n")
    done = _run(["--config", str(config), "--check_config"])
    assert done.returncode == 0, done
    assert not (tmp_path / "state" / "state.db").exists()


def test_an_unknown_isolation_is_a_located_error(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("providers:\n  local:\n    type: local\n    isolation: docker\n")
    done = _run(["--config", str(config), "--check_config"])
    assert done.returncode == 2 and f"{config}:4:" in done.stderr and "bubblewrap" in done.stderr, done


@pytest.mark.parametrize("server", [
    {"listen": "0.0.0.0:0"},
    {"listen": "[::]:0"},
])
def test_an_open_address_without_tls_and_authentication_is_refused(server):
    with Daemon({"server": server}) as daemon:
        done = _run(["--config", daemon.config_file, "--check_config"])
        assert done.returncode == 2 and "tls" in done.stderr.lower(), done


def test_a_second_daemon_on_the_same_state_is_refused(daemon):
    with Daemon(state_dir=daemon.state_dir) as second:
        second.launch()
        assert second.process.wait(30 * SLOWNESS) not in (0, None)
        assert daemon.state_dir in second.log_text()
        assert end(daemon.client.run(spec(argv=["true"])))[0] == "SUCCEEDED"
        second.process = None
        second.state_dir = second.folder  # its files are the other's


def test_sighup_reloads_or_keeps_the_old_configuration(daemon):
    client = daemon.client
    daemon.configure({"profiles": {"patient": {"timeout": "77s"}}})
    daemon.kill(signal.SIGHUP)

    def known():
        return client.submit_all([spec(argv=["true"], override={"profile": "patient"})], validate_only=True)[0]

    merged = until(lambda: known() if known().spec.timeout.seconds == 77 else None, "the new profile")
    assert not merged.violations
    before = len(daemon.log_text())
    daemon.configure({"profiles": {"patient": {"timeout": "soon"}}})
    daemon.kill(signal.SIGHUP)
    until(lambda: "profiles.patient.timeout" in daemon.log_text()[before:], "the reason in the log")
    assert known().spec.timeout.seconds == 77
    reload = daemon.boxctl("reload")
    assert reload.returncode != 0 and b"profiles.patient.timeout" in reload.stderr
    daemon.configure({"profiles": {"patient": {"timeout": "78s"}}})
    assert daemon.boxctl("reload").returncode == 0
    assert known().spec.timeout.seconds == 78


def test_without_a_config_it_runs_on_embedded_defaults(tmp_path):
    """Only checked, not started: the default ports may be taken on a developer's machine; tools/demo starts it."""
    done = _run(["--check_config"], STATE_DIRECTORY=str(tmp_path))
    assert done.returncode == 0, done
    version = _run(["--version"])
    assert version.returncode == 0 and version.stdout.strip()


def test_a_repeat_that_the_new_configuration_would_refuse_is_still_the_same_task(daemon):
    client = daemon.client
    daemon.configure({"profiles": {"gone": {"timeout": "77s"}}})
    assert daemon.boxctl("reload").returncode == 0
    item = spec(argv=["true"], override={"profile": "gone"})
    task = client.run(item)
    daemon.configure({})
    assert daemon.boxctl("reload").returncode == 0
    result = client.submit_all([item])[0]
    assert (result.outcome, result.id) == (executor_pb2.SubmitResult.DUPLICATE, task.id)
    item.command.argv.args.append("more")
    result = client.submit_all([item])[0]
    assert result.outcome == executor_pb2.SubmitResult.REJECTED
    assert [v.field for v in result.violations] == ["sandbox_override.profile"]
