"""Outputs in real stores, through a proxy that injects faults: read from the spool, and from the store when the spool is gone."""

import hashlib
import os
import random

import pytest

from tests.harness.client import end, spec
from tests.harness.daemon import Daemon
from tests.harness.log_stores import KINDS, Unavailable
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import until

LOG_COMPLETE = executor_pb2.WaitTaskRequest.LOG_COMPLETE
_LARGE = 20 << 20
_MAKE = f"""
import os, random
os.makedirs("reports/deep")
open("small", "w").write("a few words\\n")
open("large", "wb").write(random.Random(7).randbytes({_LARGE}))
for name in ("a.xml", "b.xml", "c.txt", "deep/d.xml"):
    open("reports/" + name, "w").write(name)
open("empty", "w")
"""


def _expected():
    files = {f"reports/{name}": name.encode() for name in ("a.xml", "b.xml")}
    return {"small": b"a few words\n", "large": random.Random(7).randbytes(_LARGE), "empty": b"", **files}


def _sums(files):
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def _fetched(daemon, task_id, folder):
    """What `boxctl artifacts get` of each thing that was asked for gives."""
    for path in ("small", "large", "empty", "reports"):
        got = daemon.boxctl("artifacts", "get", task_id, path, "--to", str(folder))
        assert got.returncode == 0, (path, got.stderr, daemon.log_tail())
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = file.read()
    return found


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "file"])
def test_outputs_from_the_spool_and_from_the_store(kind, tmp_path):
    try:
        opened = KINDS[kind]()
    except Unavailable as why:
        pytest.skip(str(why))
    sums = _sums(_expected())
    with opened as store, Daemon({"logs": store.config, "spool": {"max_bytes": "1MiB"}}, environment=store.environment) as daemon:
        client = daemon.start().client
        store.kill()
        outputs = {"outputs": ["small", "large", "empty", "reports/*.xml"]}
        # A silent task has a spool only for its outputs.
        ids = [client.submit(spec(["python3", "-c", said + _MAKE], override=outputs)) for said in ("print('said')", "")]
        for task_id in ids:
            task = client.wait(task_id)
            assert end(task)[0] == "SUCCEEDED" and not task.log.complete, task
            assert (task.outputs.files, task.outputs.skipped) == (len(sums), 0), task.outputs
        # Nothing but the spool can have them.
        assert _sums(_fetched(daemon, ids[0], tmp_path / "spool")) == sums
        store.start()
        # Usually while the large one is on its way.
        until(lambda: store.names(f"_boxkeeper/{ids[0]}/outputs/00000000-"), "the first file is stored")
        client = daemon.restart().client
        for number, task_id in enumerate(ids):
            assert client.wait(task_id, LOG_COMPLETE, seconds=120).log.complete
            stored = [store.get(name) for name in store.names(f"_boxkeeper/{task_id}/outputs/0")]
            assert sorted(hashlib.sha256(data).hexdigest() for data in stored) == sorted(sums.values())
            until(lambda: not os.path.exists(f"{daemon.state_dir}/spool/{task_id}/outputs.data"), "the spool is gone")
            assert _sums(_fetched(daemon, task_id, tmp_path / f"store-{number}")) == sums
        daemon.restart()
        assert _sums(_fetched(daemon, ids[0], tmp_path / "restarted")) == sums
