"""Shows that the attempts are real: outside of a sandbox, or in a weak one, they succeed."""

import contextlib
import os
import shutil
import socket
import tempfile

import pytest

from tests.breakout import expected, prison


@pytest.fixture
def folder():
    path = tempfile.mkdtemp(prefix="bk-", dir="/tmp")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


@contextlib.contextmanager
def _state_dir(folder):
    """Something like the daemon's, with its launcher's socket."""
    for name in ("identity", "launch"):
        os.makedirs(os.path.join(folder, name))
    with socket.socket(socket.AF_UNIX) as launcher:
        launcher.bind(os.path.join(folder, "launch", "launch.sock"))
        launcher.listen()
        yield folder


def test_without_a_sandbox_every_attempt_succeeds(folder):
    """One run outside of any sandbox, of what does no harm there; one in namespaces that an ordinary user can make, without
    any other of Boxkeeper's measures. Between them all succeeds but what would need the machine's real root."""
    program = shutil.copy(prison.PROBE, folder)
    with _state_dir(folder) as state_dir:
        with prison.Bait(folder) as bait:
            _, outside = prison.run_outside([program, *bait.arguments(state_dir), "--control"])
        weak = ["setpriv", f"--reuid={prison.NOBODY}", f"--regid={prison.NOBODY}", "--clear-groups", "unshare", "--user",
                "--map-root-user", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--mount-proc", program]
        with prison.Bait(folder, prison.NOBODY) as bait:
            _, in_namespaces = prison.run_outside([*weak, *bait.arguments(state_dir)])
    assert set(in_namespaces) == set(expected.PROBES)
    succeeded = {name for results in (outside, in_namespaces) for name, errno in results.items() if errno == "none"}
    assert set(expected.PROBES) - succeeded - expected.ONLY_FOR_REAL_ROOT == set()


def test_the_comparison_finds_a_hole():
    assert expected.wrong({"chroot": "EPERM"}, {"chroot": "none"}) == ["chroot: none, expected EPERM"]
    assert expected.wrong({"chroot": {"EPERM", "ENOSYS"}}, {}) == ["chroot: not tried, expected ENOSYS or EPERM"]
    assert len(expected.wrong(expected.PROBES, {name: "none" for name in expected.PROBES})) == len(expected.PROBES)
