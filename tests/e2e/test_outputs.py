"""Outputs: collected at every kind of end, read at once, stored, and the same bytes whatever dies."""

import glob
import hashlib
import json
import os
import signal

import grpc
import pytest

from tests.harness import processes
from tests.harness.client import end, spec
from tests.harness.daemon import Daemon
from tests.harness.gate import Gate
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import until

LOG_COMPLETE = executor_pb2.WaitTaskRequest.LOG_COMPLETE
# Writes files whose content is told by its name and size.
_MAKE = "mkdir -p d; for n in 1 2 3; do head -c ${n}00000 /dev/zero | tr '\\0' $n > d/f$n; done; "


def _files():
    return {f"d/f{n}": str(n).encode() * (n * 100000) for n in (1, 2, 3)}


def _list(client, task_id):
    request = executor_pb2.ListArtifactsRequest()
    request.task.id = task_id
    return client.call(client.executor.ListArtifacts, request)


def _read(client, task_id, path, offset=0):
    request = executor_pb2.ReadArtifactRequest(path=path, offset=offset)
    request.task.id = task_id
    data = b""
    for piece in client.executor.ReadArtifact(request, timeout=60, metadata=client.metadata):
        assert piece.offset == offset + len(data)
        data += piece.data
    return data


def _check(daemon, task_id, files):
    """What the daemon reads, and once the log is complete what the store has."""
    client = daemon.client
    listed = _list(client, task_id).outputs
    assert {a.path: (a.size, a.sha256) for a in listed.artifacts} == {
        path: (len(data), hashlib.sha256(data).hexdigest()) for path, data in files.items()}
    for path, data in files.items():
        assert _read(client, task_id, path) == data
    task = client.wait(task_id, until=LOG_COMPLETE)
    assert task.log.complete
    folder = f"{daemon.folder}/logs/_boxkeeper/{task_id}"
    with open(f"{folder}/outputs/manifest.json", encoding="utf-8") as file:
        manifest = json.load(file)
    with open(f"{folder}/exit.json", encoding="utf-8") as file:
        record = json.load(file)
    assert record["outputs"]["artifacts"] == manifest["artifacts"]
    stored = {}
    for artifact in manifest["artifacts"]:
        with open(f"{daemon.folder}/logs/{artifact['object']}", "rb") as file:
            stored[artifact["path"]] = file.read()
    assert stored == files
    assert len(glob.glob(f"{folder}/outputs/*")) == len(files) + 1
    return task


@pytest.mark.parametrize("command, ended", [
    ("true", ("SUCCEEDED", "EXIT_CODE", 0, None)),
    ("exit 7", ("FAILED", "EXIT_CODE", 7, None)),
    ("kill -9 $$", ("FAILED", "SIGNAL", None, 9)),
])
def test_every_end_has_its_outputs(isolated, command, ended):
    task = isolated.client.run(spec(shell=_MAKE + command, override={"outputs": ["d"]}))
    assert end(task) == ended
    assert (task.outputs.collected, task.outputs.files, task.outputs.bytes, task.outputs.skipped) == (True, 3, 600000, 0)
    _check(isolated, task.id, _files())


def test_a_run_timeout_has_them_too(isolated):
    task = isolated.client.run(spec(shell=_MAKE + "sleep 60", override={"outputs": ["d/*"], "timeout": "2s", "grace": "1s"}))
    assert end(task)[1] == "RUN_TIMEOUT"
    _check(isolated, task.id, _files())


def test_what_is_not_there_is_said_and_fails_nothing(isolated):
    task = isolated.client.run(spec(shell="ln -s /etc/passwd link", override={"outputs": ["no/such", "link"]}))
    assert end(task)[0] == "SUCCEEDED"
    assert (task.outputs.collected, task.outputs.files, task.outputs.skipped) == (True, 0, 2)
    assert task.outputs.message == "'no/such': matches nothing"
    assert not _list(isolated.client, task.id).outputs.artifacts
    assert isolated.client.wait(task.id, until=LOG_COMPLETE).log.complete


def test_reading_by_offset_and_by_key_and_what_is_refused(shared):
    client = shared.client
    submission = spec(shell="printf 0123456789 > out", override={"outputs": ["out"]})
    task = client.run(submission)
    assert _read(client, task.id, "out", 7) == b"789"
    assert _read(client, task.id, "out", 10) == b""
    request = executor_pb2.ListArtifactsRequest()
    request.task.key.CopyFrom(submission.key)
    assert client.call(client.executor.ListArtifacts, request).id == task.id
    for path, offset, code, reason in [("out", 11, "OUT_OF_RANGE", "OFFSET_BEYOND_END"), ("../out", 0, "NOT_FOUND", "ARTIFACT_NOT_FOUND"),
                                       ("/etc/passwd", 0, "NOT_FOUND", "ARTIFACT_NOT_FOUND"), ("out", -1, "INVALID_ARGUMENT", "INVALID_REQUEST")]:
        with pytest.raises(grpc.RpcError) as refused:
            _read(client, task.id, path, offset)
        assert refused.value.code().name == code
        assert any(reason.encode() in value for key, value in refused.value.trailing_metadata() if isinstance(value, bytes))
    gate = Gate(shared.folder)
    running = client.submit(spec(shell=gate.wait, override={"outputs": ["out"]}))
    client.wait_running(running)
    with pytest.raises(grpc.RpcError) as refused:
        _list(client, running)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    gate.open()
    client.wait(running)
    plain = client.run(spec(argv=["true"]))
    assert not plain.HasField("outputs") and not _list(client, plain.id).HasField("outputs")


def test_without_the_token_nothing_is_told():
    with Daemon() as daemon:
        tokens = os.path.join(daemon.folder, "tokens")
        with open(tokens, "w", encoding="utf-8") as file:
            file.write("admin:the-token\n")
        daemon.configure({"server": {"listen": ["127.0.0.1:0", f"unix:{daemon.socket}"], "auth": {"tokens_file": tokens}}})
        daemon.start()
        task = daemon.client.run(spec(shell="echo x > out", override={"outputs": ["out"]}))
        serving = daemon.log_text().split("grpc=")[1].split("http=")[0]
        port = next(p for p in processes.listening_ports(daemon.process.pid) if f"127.0.0.1:{p} " in serving.replace('"', " "))
        stranger = daemon.connect(f"127.0.0.1:{port}")
        for call in (lambda: _list(stranger, task.id), lambda: _read(stranger, task.id, "out")):
            with pytest.raises(grpc.RpcError) as refused:
                call()
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        known = daemon.connect(f"127.0.0.1:{port}", token="the-token")
        assert _read(known, task.id, "out") == b"x\n"


def test_the_daemon_and_boxlaunch_die_before_the_end_and_while_it_is_stored(daemon):
    gate = Gate(daemon.folder)
    ids = [daemon.client.submit(spec(shell=f"{gate.wait}; {_MAKE}", override={"outputs": ["d"]})) for _ in range(4)]
    for task_id in ids:
        daemon.client.wait_running(task_id)
    daemon.kill(signal.SIGKILL)
    daemon.kill_launcher_process(daemon.launcher_pid())
    for _ in ids:
        gate.open()
    # Nobody is there but the supervisors: they collect, and tell nobody.
    until(lambda: len(glob.glob(f"{daemon.state_dir}/spool/*/outputs")) == len(ids), "every manifest")
    assert not glob.glob(f"{daemon.folder}/logs/_boxkeeper/*/outputs/*")
    for _ in range(3):
        daemon.start()
        daemon.kill(signal.SIGKILL)
    daemon.start()
    for task_id in ids:
        assert end(daemon.client.wait(task_id))[0] == "SUCCEEDED"
        _check(daemon, task_id, _files())


def test_they_are_read_from_the_store_when_the_spool_is_gone(daemon):
    task = daemon.client.run(spec(shell=_MAKE, override={"outputs": ["d"]}))
    _check(daemon, task.id, _files())
    for path in glob.glob(f"{daemon.state_dir}/spool/{task.id}/outputs*"):
        os.remove(path)
    _check(daemon, task.id, _files())


def test_bounds_of_the_configuration():
    with Daemon({"outputs": {"max_files": 2, "max_bytes": "1KiB"}}) as daemon:
        daemon.start()
        task = daemon.client.run(spec(shell="head -c 2000 /dev/zero > a; echo b > b; echo c > c; echo d > d", override={"outputs": ["*"]}))
        assert end(task)[0] == "SUCCEEDED"
        assert [a.path for a in _list(daemon.client, task.id).outputs.artifacts] == ["b", "c"]
        assert task.outputs.skipped == 2


def test_a_pattern_that_leads_out_is_refused(shared):
    result = shared.client.submit_all([spec(argv=["true"], override={"outputs": ["a/../../b"]})])[0]
    assert result.violations[0].field == "sandbox_override.outputs" and "'..'" in result.violations[0].description


def test_boxctl_run_fetches_and_artifacts_lists_and_gets(shared, tmp_path):
    here = tmp_path / "here"
    ran = shared.boxctl("run", "--output", f"d/*:{here}", "--output", "x", "--shell", _MAKE + "echo x > x; chmod 750 d/f1; exit 3")
    assert ran.returncode == 3, ran.stderr
    for path, data in _files().items():
        assert (here / path).read_bytes() == data
    assert (here / "d/f1").stat().st_mode & 0o777 == 0o750
    assert not (here / "x").exists()
    task_id = shared.boxctl("ls", "-o", "name", "--limit", "1").stdout.decode().strip()
    listed = json.loads(shared.boxctl("artifacts", "ls", task_id, "-o", "json").stdout)
    assert [a["path"] for a in listed["artifacts"]] == ["d/f1", "d/f2", "d/f3", "x"]
    assert shared.boxctl("artifacts", "get", task_id, "x", "--to", "-").stdout == b"x\n"
    got = shared.boxctl("artifacts", "get", task_id, "d", "--to", str(tmp_path / "there"))
    assert got.returncode == 0, got.stderr
    assert (tmp_path / "there/d/f2").read_bytes() == _files()["d/f2"] and not (tmp_path / "there/x").exists()
    assert shared.boxctl("artifacts", "get", task_id, "no").returncode == 125
    missing = shared.boxctl("run", "--output", f"no:{here}", "--", "true")
    assert missing.returncode == 125 and b"no output 'no' was collected" in missing.stderr
    assert shared.boxctl("run", "-d", "--output", f"x:{here}", "--", "true").returncode == 2
