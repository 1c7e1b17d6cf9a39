"""The Azure store against Azurite, which verifies signatures."""

import os
import subprocess

import pytest

from tests.harness import cloud_servers, servers
from tests.harness.client import spec
from tests.harness.daemon import BIN, Daemon
from tests.harness.fault_proxy import FaultProxy
from tests.harness.gate import Gate
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import SLOWNESS, until

LOG_COMPLETE = executor_pb2.WaitTaskRequest.LOG_COMPLETE
_REAL_STORE = os.path.join(BIN, "tests", "logstores", "real_store")


@pytest.fixture(name="azurite", scope="module")
def _azurite():
    try:
        server = cloud_servers.Azurite()
    except servers.Unavailable as why:
        pytest.skip(str(why))
    with server:
        yield server


def _contract(environment, **variables):
    done = subprocess.run([_REAL_STORE], env={**environment, **variables}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=300 * SLOWNESS, check=False)
    assert done.returncode == 0, done.stdout[-8000:]


def test_contract_with_the_key(azurite):
    _contract(azurite.environment(), BOXKEEPER_STORE_URL="azure://logs/a/prefix")


def test_contract_with_a_sas(azurite):
    _contract({"HOME": azurite.folder, "AZURE_STORAGE_ACCOUNT": azurite.account, "AZURE_STORAGE_SAS_TOKEN": azurite.sas("racwdl")},
              BOXKEEPER_STORE_URL="azure://logs/sas", BOXKEEPER_STORE_ENDPOINT=azurite.endpoint)


def test_contract_through_faults(azurite):
    with FaultProxy(azurite.server, seed=11) as proxy:
        # Small shares: a call gives up after four tries.
        for kind in ("busy", "reset", "trickle", "truncated", "lost_answer"):
            proxy.fail(kind, share=0.015)
        proxy.fail("corrupt", method="PUT", share=0.02)
        _contract(azurite.environment(), BOXKEEPER_STORE_URL="azure://logs/faults",
                  BOXKEEPER_STORE_ENDPOINT=f"{proxy.endpoint}/{azurite.account}")
        counts = proxy.heal()
        assert len(counts) == 6, counts


def _write(folder, name, content):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)
    return path


def test_connect_says_what_to_fix(azurite):
    key_file = _write(azurite.folder, "key", azurite.key + "\n")
    other_key = _write(azurite.folder, "other", "b3RoZXIga2V5\n")
    no_key = _write(azurite.folder, "none", "hush, no base64")
    readable = _write(azurite.folder, "sas", azurite.sas("rl"))
    old = _write(azurite.folder, "old", azurite.sas("racwdl", minutes=-5))
    cases = [
        ("azure://logs/x", {"key_file": key_file}, "good"),
        ("azure://logs/x", {"key_file": other_key}, "is the key or SAS the one of account 'devstoreaccount1'"),
        ("azure://logs/x", {"key_file": no_key}, "is no storage account key"),
        ("azure://logs/x", {"sas_file": readable}, "sp=racwdl"),
        ("azure://logs/x", {"sas_file": old}, "logs.url azure://logs/x: "),
        ("azure://nothing", {"key_file": key_file}, "create the container 'nothing' in account 'devstoreaccount1'"),
        ("azure://logs/x", {"key_file": key_file, "endpoint": "http://127.0.0.1:1/devstoreaccount1"}, "Connection refused"),
        ("azure://logs/x", {}, "set logs.azure.key_file or logs.azure.sas_file"),
    ]
    for url, section, expected in cases:
        config = {"logs": {"url": url, "azure": {"account": azurite.account, "endpoint": azurite.endpoint, **section}}}
        with Daemon(config, environment={"HOME": azurite.folder}) as daemon:
            code = daemon.launch(["--check_config", "--connect"]).wait(60 * SLOWNESS)
            said = daemon.log_text()
            lines = [line for line in said.splitlines() if line.startswith("logs.url:")]
            assert len(lines) == 1 and expected in lines[0], (expected, said)
            assert (code == 0) == (expected == "good"), said
            assert "sig=" not in said and "hush" not in said and azurite.key not in said


def test_a_log_grows_in_one_blob(azurite):
    """A task's output is in the container while it runs, also over a kill -9; byte for byte at the end."""
    config = {"logs": {"url": "azure://logs/live", "layout": "plain"}}

    def blobs():
        status, body = azurite.request("GET", "/logs", {"comp": "list", "prefix": "live/", "restype": "container"})
        assert status == 200, body
        return body.decode()

    with Daemon(config, environment=azurite.environment()) as daemon:
        daemon.start()
        gate = Gate(daemon.folder)
        task_id = daemon.client.submit(spec(shell=f"echo first; {gate.wait}; seq 1 20000; {gate.wait}; echo last"))
        until(lambda: "/stdout</Name>" in blobs(), "the first line is stored", 30)
        daemon.restart()
        gate.open(2)
        task = daemon.client.wait(task_id, LOG_COMPLETE)
        expected = "first\n" + "".join(f"{i}\n" for i in range(1, 20001)) + "last\n"
        assert f"<Content-Length>{len(expected)}</Content-Length>" in blobs()
        assert "<BlobType>AppendBlob</BlobType>" in blobs()
        assert daemon.client.log(task.id) == expected.encode()
        path = f"/logs/live/{task.log.path}/stdout"
        assert azurite.request("GET", path, {})[1] == expected.encode()
