"""Files too large for a submission, and standard input: put, used, held over kill -9, gone when nobody needs them."""

import hashlib
import os
import random
import subprocess

import grpc
import pytest

from tests.harness.client import end, spec
from tests.harness.daemon import BOXCTL, Daemon
from tests.harness.gate import Gate
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import until

_MIB = 1 << 20


def _content(size, seed=1):
    return random.Random(seed).randbytes(size)


def _name(content):
    return hashlib.sha256(content).hexdigest()


def _put(client, content, name=None, size=None):
    def pieces():
        yield executor_pb2.PutBlobRequest(sha256=name or _name(content), size=len(content) if size is None else size)
        for at in range(0, len(content), _MIB):
            yield executor_pb2.PutBlobRequest(data=content[at:at + _MIB])
    return client.executor.PutBlob(pieces(), timeout=60, metadata=client.metadata)


def _with_blob(content, path="data", **arguments):
    submission = spec(**arguments)
    submission.files.add(path=path, blob=_name(content), mode=0o640)
    return submission


def _files(daemon):
    return sorted(os.listdir(os.path.join(daemon.state_dir, "blobs")))


def test_a_file_of_20_mib_arrives_whole(isolated):
    content = _content(20 * _MIB)
    assert not _put(isolated.client, content).existed
    assert _put(isolated.client, content).existed
    task = isolated.client.run(_with_blob(content, shell="sha256sum < data; stat -c %a data", override={"stdin": "data"}))
    assert end(task)[0] == "SUCCEEDED", task.message
    assert isolated.client.log(task.id).decode().split() == [_name(content), "-", "640"]


def test_standard_input_is_what_was_asked_for_or_nothing(isolated):
    submission = spec(shell="cat", override={"stdin": "in/put"})
    submission.files.add(path="in/put", content=b"line\n")
    task = isolated.client.run(submission)
    assert isolated.client.log(task.id) == b"line\n"
    task = isolated.client.run(spec(shell="wc -c"))
    assert isolated.client.log(task.id).strip() == b"0"
    task = isolated.client.run(spec(shell="echo ran", override={"stdin": "missing"}))
    assert end(task)[:2] == ("FAILED", "START_FAILED")
    assert "stdin 'missing': No such file" in task.message


def test_what_is_wrong_is_said_and_leaves_nothing(isolated):
    before = _files(isolated)
    for arguments in ({"name": "0" * 64}, {"size": 7}):
        with pytest.raises(grpc.RpcError) as refused:
            _put(isolated.client, b"content!", **arguments)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    [result] = isolated.client.submit_all([_with_blob(b"never put", shell="true")])
    assert result.outcome == executor_pb2.SubmitResult.REJECTED
    assert [v.field for v in result.violations] == ["files.blob"]
    until(lambda: _files(isolated) == before, "what was refused is removed")


def test_a_damaged_blob_is_not_run(isolated):
    content = _content(_MIB, seed=2)
    _put(isolated.client, content)
    [name] = [f for f in _files(isolated) if f.startswith(_name(content))]
    path = os.path.join(isolated.state_dir, "blobs", name)
    with open(path, "r+b") as file:
        file.seek(5)
        file.write(b"\0\1")
    task = isolated.client.run(_with_blob(content, shell="echo ran"))
    assert end(task)[:2] == ("FAILED", "START_FAILED")
    assert "file 'data': its blob on the daemon's host is damaged" in task.message
    assert isolated.client.log(task.id) == b""


def test_a_task_holds_its_blob_over_kill_9_and_pressure():
    content = _content(3 * _MIB)
    config = {"blobs": {"max_bytes": "4MiB"}, "scheduling": {"max_running": 1}}
    with Daemon(config) as daemon:
        client = daemon.start().client
        gate = Gate(daemon.folder)
        first = client.submit(spec(shell=gate.wait))
        client.wait_running(first)
        _put(client, content)
        waiting = client.submit(_with_blob(content, shell="sha256sum < data"))
        daemon.kill()
        client = daemon.start().client
        with pytest.raises(grpc.RpcError) as full:
            _put(client, _content(2 * _MIB, seed=3))
        assert full.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        gate.open()
        assert end(client.wait(first))[0] == "SUCCEEDED"
        task = client.wait(waiting)
        assert end(task)[0] == "SUCCEEDED", task.message
        assert client.log(waiting).decode().split()[0] == _name(content)
        # Nobody needs it now: it makes room.
        _put(client, _content(2 * _MIB, seed=3))
        until(lambda: len(_files(daemon)) == 1, "the old blob's file is removed")


def test_an_upload_cut_by_kill_9_leaves_nothing():
    with Daemon() as daemon:
        client = daemon.start().client
        content = _content(4 * _MIB)
        sent = []

        def pieces():
            yield executor_pb2.PutBlobRequest(sha256=_name(content), size=len(content), data=content[:_MIB])
            until(lambda: _files(daemon), "the upload has begun")
            sent.extend(_files(daemon))
            daemon.kill()
            yield executor_pb2.PutBlobRequest(data=content[_MIB:2 * _MIB])
        with pytest.raises(grpc.RpcError):
            client.executor.PutBlob(pieces(), timeout=60, metadata=client.metadata)
        assert sent[0].startswith("incoming.")
        assert _files(daemon) == sent
        client = daemon.start().client
        assert not _files(daemon)
        _put(client, content)


def test_boxctl_sends_what_is_large_by_itself(shared, tmp_path):
    content = _content(5 * _MIB, seed=4)
    (tmp_path / "large").write_bytes(content)
    command = [BOXCTL, "--server", f"unix:{shared.socket}", "run", "--file", f"{tmp_path}/large:in/large", "--stdin", "-",
               "--shell", "sha256sum < in/large; sha256sum"]
    lines = b"".join(b"%d\n" % n for n in range(200_000))
    done = subprocess.run(command, input=lines, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().split() == [_name(content), "-", _name(lines), "-"]
