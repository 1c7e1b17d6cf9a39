"""The GCS store against our own strict fake, which Google's client accepts too, and against fake-gcs-server, which is not ours."""

import os
import subprocess

import pytest

from tests.harness import cloud_servers, servers
from tests.harness.client import spec
from tests.harness.daemon import BIN, Daemon
from tests.harness.fake_gcs import FakeGcs, ServiceAccount
from tests.harness.gate import Gate
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import SLOWNESS, until

LOG_COMPLETE = executor_pb2.WaitTaskRequest.LOG_COMPLETE
_REAL_STORE = os.path.join(BIN, "tests", "logstores", "real_store")


@pytest.fixture(name="account", scope="module")
def _account():
    return ServiceAccount()


def _key_file(folder, account, fake, **changes):
    path = os.path.join(str(folder), "key.json")
    with open(path, "w", encoding="utf-8") as file:
        file.write(account.file(changes.get("token_uri", fake.token_uri)))
    return path


def _contract(endpoint, environment):
    done = subprocess.run([_REAL_STORE], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env={"BOXKEEPER_STORE_URL": "gs://logs/a/prefix", "BOXKEEPER_STORE_ENDPOINT": endpoint, **environment},
                          timeout=300 * SLOWNESS, check=False)
    assert done.returncode == 0, done.stdout[-8000:]


def test_contract(account, tmp_path):
    with FakeGcs(account) as fake:
        fake.page_size = 3
        _contract(fake.url, {"HOME": str(tmp_path), "GOOGLE_APPLICATION_CREDENTIALS": _key_file(tmp_path, account, fake)})
        assert not fake.names() and not fake.uploads, "nothing is left behind"


def test_contract_with_tokens_that_expire_at_once(account, tmp_path):
    with FakeGcs(account, token_seconds=1) as fake:
        _contract(fake.url, {"HOME": str(tmp_path), "GOOGLE_APPLICATION_CREDENTIALS": _key_file(tmp_path, account, fake)})


def test_contract_through_faults(account, tmp_path):
    """Every fifth request fails: refused, cut before it or after it took effect, its token forgotten."""
    with FakeGcs(account) as fake:
        count = 0

        def fault(request):
            nonlocal count
            if request.path.startswith("/token"):
                return False
            with fake.lock:
                count += 1
                kind = count % 20
            if kind == 5:
                request.rfile.read(int(request.headers.get("Content-Length") or 0))
                request.answer(503, b"busy")
                return True
            if kind == 10:
                request.close_connection = True
                return True
            if kind == 15:
                answer, request.close_connection = request.answer, True
                request.answer = lambda *_: setattr(request, "answer", answer)  # this one is lost
                return False
            if kind == 0:
                fake.tokens.clear()
            return False

        fake.faults.append(fault)
        _contract(fake.url, {"HOME": str(tmp_path), "GOOGLE_APPLICATION_CREDENTIALS": _key_file(tmp_path, account, fake)})


def test_contract_of_fake_gcs_server():
    try:
        server = cloud_servers.FakeGcsServer()
    except servers.Unavailable as why:
        pytest.skip(str(why))
    with server:
        _contract(server.endpoint, server.environment())


def test_googles_own_client_takes_the_fake_for_the_real_thing(account, tmp_path):
    """So what our store does against the fake is what Google's API wants."""
    try:
        packages = servers.python_package("google-cloud-storage", cloud_servers.GOOGLE_CLIENT_VERSION)
    except servers.Unavailable as why:
        pytest.skip(str(why))
    script = """if True:
        import sys
        from google.cloud import storage
        client = storage.Client(project="test", client_options={"api_endpoint": sys.argv[1]})
        bucket = client.bucket("logs")
        bucket.blob("a/small").upload_from_string(b"some bytes", checksum="crc32c")
        blob = bucket.blob("a/large", chunk_size=256 * 1024)
        data = bytes(range(256)) * 4096
        import io
        blob.upload_from_file(io.BytesIO(data), size=len(data), checksum="crc32c")
        assert bucket.blob("a/large").download_as_bytes() == data
        assert bucket.blob("a/small").download_as_bytes(start=2, end=5) == b"me b"
        bucket.blob("a/both").compose([bucket.blob("a/small"), bucket.blob("a/small")])
        assert bucket.blob("a/both").download_as_bytes() == b"some bytes" * 2
        assert [b.name for b in client.list_blobs("logs", prefix="a/")] == ["a/both", "a/large", "a/small"]
        try:
            bucket.blob("a/small").upload_from_string(b"x", if_generation_match=0)
            raise SystemExit("the condition did not count")
        except Exception as error:
            assert "412" in str(error), error
        bucket.blob("a/small").delete()
        assert not bucket.blob("a/small").exists()
    """
    with FakeGcs(account) as fake:
        fake.page_size = 2
        done = subprocess.run(["/usr/bin/python3", "-c", script, fake.url], stdin=subprocess.DEVNULL, text=True, capture_output=True,
                              env={"PYTHONPATH": packages, "HOME": str(tmp_path), "PATH": os.environ["PATH"],
                                   "GOOGLE_APPLICATION_CREDENTIALS": _key_file(tmp_path, account, fake)},
                              timeout=120 * SLOWNESS, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        assert fake.names() == ["a/both", "a/large"]


def _connect(fake, tmp_path, section, url="gs://logs/x"):
    config = {"logs": {"url": url, "gcs": {"endpoint": fake.url, **section}}}
    with Daemon(config, environment={"HOME": str(tmp_path), "GCE_METADATA_HOST": "127.0.0.1:1"}) as daemon:
        code = daemon.launch(["--check_config", "--connect"]).wait(60 * SLOWNESS)
        said = daemon.log_text()
        lines = [line for line in said.splitlines() if line.startswith("logs.url:")]
        assert len(lines) == 1, said
        assert "PRIVATE" not in said and "ya29" not in said
        return code, lines[0]


def test_connect_says_what_to_fix(account, tmp_path):
    with FakeGcs(account) as fake:
        key = {"credentials_file": _key_file(tmp_path, account, fake)}
        assert _connect(fake, tmp_path, key) == (0, "logs.url: good")
        code, line = _connect(fake, tmp_path, key, "gs://nothing")
        assert code != 0 and "create the bucket 'nothing'" in line, line
        code, line = _connect(fake, tmp_path, {})
        assert code != 0 and "set logs.gcs.credentials_file or GOOGLE_APPLICATION_CREDENTIALS" in line, line
        fake.permitted = False
        code, line = _connect(fake, tmp_path, key)
        assert code != 0 and "storage.objectUser on bucket 'logs'" in line, line
        fake.permitted = True
        other = os.path.join(str(tmp_path), "other")
        os.makedirs(other)
        stranger = ServiceAccount()
        stranger.key_id = account.key_id
        code, line = _connect(fake, tmp_path, {"credentials_file": _key_file(other, stranger, fake)})
        assert code != 0 and "Invalid JWT Signature" in line and "is the account there and enabled" in line, line


def test_a_log_in_pieces_over_kill_9(account, tmp_path):
    """gs:// cannot append: `plain` is pieces whose concatenation is the stream; stored while the task runs."""
    with FakeGcs(account) as fake:
        config = {"logs": {"url": "gs://logs/live", "layout": "plain",
                           "gcs": {"endpoint": fake.url, "credentials_file": _key_file(tmp_path, account, fake)}}}
        with Daemon(config, environment={"HOME": str(tmp_path)}) as daemon:
            daemon.start()
            gate = Gate(daemon.folder)
            task_id = daemon.client.submit(spec(shell=f"echo first; {gate.wait}; seq 1 20000; {gate.wait}; echo last"))
            until(lambda: any("/stdout" in name for name in fake.names()), "the first line is stored", 30)
            daemon.restart()
            fake.tokens.clear()
            gate.open(2)
            task = daemon.client.wait(task_id, LOG_COMPLETE)
            expected = ("first\n" + "".join(f"{i}\n" for i in range(1, 20001)) + "last\n").encode()
            assert daemon.client.log(task.id) == expected
            pieces = [name for name in fake.names() if f"{task.log.path}/stdout" in name]
            assert b"".join(fake.content(name) for name in pieces) == expected, pieces
