"""The S3 store against real servers that verify signatures."""

import os
import subprocess

import pytest

from tests.harness import s3_servers, servers
from tests.harness.client import end, spec
from tests.harness.daemon import BIN, Daemon
from tests.harness.fault_proxy import FaultProxy
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import SLOWNESS

_REAL_STORE = os.path.join(BIN, "tests", "logstores", "real_store")


def _servers():
    """One server is enough for every day; all of them with BOXKEEPER_FULL."""
    return list(s3_servers.SERVERS) if os.environ.get("BOXKEEPER_FULL") else ["any"]


def _started(name):
    if name == "any":
        return s3_servers.any_server()
    try:
        return s3_servers.SERVERS[name]()
    except servers.Unavailable as why:
        pytest.skip(str(why))


def _hold_contract(server, endpoint):
    environment = {**server.environment(), "BOXKEEPER_STORE_URL": f"s3://{server.bucket}/a/prefix", "BOXKEEPER_STORE_ENDPOINT": endpoint}
    done = subprocess.run([_REAL_STORE], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=300 * SLOWNESS, check=False)
    assert done.returncode == 0, done.stdout[-8000:]


@pytest.mark.parametrize("name", _servers())
def test_contract(name):
    with _started(name) as server:
        _hold_contract(server, server.endpoint)


def test_contract_through_faults():
    with s3_servers.any_server() as server, FaultProxy(server.endpoint, seed=7) as proxy:
        # Small shares: a call gives up after four tries.
        for kind in ("busy", "reset", "trickle", "truncated", "lost_answer"):
            proxy.fail(kind, share=0.015)
        # Of these there are few requests.
        proxy.fail("skewed", path="partNumber=1", times=1)
        proxy.fail("wrong_etag", path="partNumber=2", times=1)
        proxy.fail("corrupt", method="PUT", times=2)
        _hold_contract(server, proxy.endpoint)
        counts = proxy.heal()
        assert len(counts) == 8, counts


def _connect(server, url, section, **variables):
    """What `--check_config --connect` says about logs.url."""
    config = {"logs": {"url": url, "s3": {"endpoint": server.endpoint, **section}}}
    with Daemon(config, environment={**server.environment(), **variables}) as daemon:
        code = daemon.launch(["--check_config", "--connect"]).wait(60 * SLOWNESS)
        lines = [line for line in daemon.log_tail().splitlines() if line.startswith("logs.url:")]
        assert len(lines) == 1, daemon.log_tail()
        return code, lines[0]


def test_connect_says_what_to_fix():
    with s3_servers.any_server() as server:
        good = f"s3://{server.bucket}/x"
        code, line = _connect(server, good, {})
        assert line == "logs.url: good"
        cases = [
            (good, {}, {"AWS_SECRET_ACCESS_KEY": "another"}, "the secret key does not belong to the access key"),
            (good, {}, {"AWS_ACCESS_KEY_ID": "NOBODY"}, "the access key is not known there"),
            ("s3://no-such-bucket", {}, {}, "there is no bucket 'no-such-bucket' there: create it, or correct logs.url"),
            (good, {"region": "eu-north-1"}, {}, f"set logs.s3.region: {server.region} (now eu-north-1)"),
            (good, {"endpoint": "http://127.0.0.1:1"}, {}, "connect: Connection refused"),
            (good, {"endpoint": "http://no-such-host.invalid"}, {}, "(see logs.s3.endpoint and logs.s3.region): resolve"),
            (good, {}, {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no credentials: AWS_ACCESS_KEY_ID is not set"),
        ]
        for url, section, variables, expected in cases:
            code, line = _connect(server, url, section, **variables)
            assert code != 0 and expected in line, line
            assert server.secret_key not in line


def _stored(server, task, stream):
    """A stream's pieces, joined."""
    keys = server.keys(f"logs/{task.log.path}/{stream}.")
    offset, data = 0, b""
    for key in keys:
        assert int(key.rpartition(".")[2]) == offset, keys
        data += server.get(key)
        offset = len(data)
    return data


def test_logs_are_whole_though_daemon_and_storage_die():
    lines = 400
    script = f"i=0; while [ $i -lt {lines} ]; do echo task $0 line $i; echo err $i >&2; i=$((i+1)); [ $((i % 40)) -ne 0 ] || sleep 0.2; done"
    with _started("versitygw") as server, FaultProxy(server.endpoint, seed=3) as proxy:
        for kind in ("busy", "reset", "truncated", "lost_answer"):
            proxy.fail(kind, share=0.02)
        proxy.fail("expired_token", method="PUT", times=2)
        config = {"logs": {"url": f"s3://{server.bucket}/logs", "s3": {"endpoint": proxy.endpoint}}}
        with Daemon(config, environment=server.environment()) as daemon:
            daemon.start()
            ids = [daemon.client.submit(spec(["sh", "-c", script, str(number)])) for number in range(12)]
            for task_id in ids[:4]:
                daemon.client.wait_running(task_id)
            server.stop()
            daemon.kill()
            daemon.start()
            server.start()
            tasks = [daemon.client.wait(task_id, executor_pb2.WaitTaskRequest.LOG_COMPLETE, seconds=120) for task_id in ids]
            proxy.heal()
            for number, task in enumerate(tasks):
                assert end(task)[0] == "SUCCEEDED", end(task)
                assert _stored(server, task, "stdout") == b"".join(b"task %d line %d\n" % (number, n) for n in range(lines))
                assert _stored(server, task, "stderr") == b"".join(b"err %d\n" % n for n in range(lines))
            assert server.uploads() == 0
