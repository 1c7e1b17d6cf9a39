"""A damaged store under the real daemon: refused with the place and the repair command and left as it is, or opened as it
was at some commit. Every page and frame, without the daemon: store/sqlite_log_damage_test.cc."""

import hashlib
import os
import random
import re
import shutil

import pytest

from tests.harness.client import spec
from tests.harness.daemon import Daemon
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import SLOWNESS, until

_STORAGE_FAILED = 74
_PAGE = 4096
_FRAME = 24 + _PAGE
_PLACES = 40 if os.environ.get("BOXKEEPER_FULL") else 4


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A state folder as a killed daemon left it: much in the database, some in the WAL; and the tasks in it."""
    folder = str(tmp_path_factory.mktemp("killed"))
    with Daemon() as daemon:
        client = daemon.start().client
        tasks = [client.submit(spec(shell=f"exit {n % 3}")) for n in range(40)]
        client.wait_all(tasks, executor_pb2.WaitTaskRequest.LOG_COMPLETE)
        assert daemon.terminate() == 0  # moves the WAL into the database
        daemon.start()
        later = [client.submit(spec(shell=f"exit {n % 3}")) for n in range(10)]
        client.wait_all(later, executor_pb2.WaitTaskRequest.LOG_COMPLETE)
        until(lambda: daemon.metric("boxkeeper_live_sandboxes") == 0, "no live sandbox")
        daemon.kill()
        for name in ("state.db", "state.db-wal", "identity"):
            path = os.path.join(daemon.state_dir, name)
            (shutil.copytree if os.path.isdir(path) else shutil.copy)(path, os.path.join(folder, name))
    return folder, set(tasks), set(tasks + later)


def _digests(daemon):
    """Of both files, without the zeros that the WAL keeps in reserve: those are cut off before anything is judged."""
    found = {}
    for name in ("state.db", "state.db-wal"):
        with open(os.path.join(daemon.state_dir, name), "rb") as file:
            content = file.read()
        found[name] = hashlib.sha256(content.rstrip(b"\0") if name.endswith("-wal") else content).hexdigest()
    return found


def _open_damaged(killed, damage):
    """Starts a daemon on a copy with `damage` done; "refused", or the ids of the tasks that it knows."""
    folder, _, _ = killed
    with Daemon() as daemon:
        shutil.copytree(folder, daemon.state_dir, dirs_exist_ok=True)
        damage(daemon.state_dir)
        before = _digests(daemon)
        process = daemon.launch()
        until(lambda: process.poll() is not None or daemon.client.health() == 1, "it starts or refuses", 60)
        text = daemon.log_text()
        if process.poll() is not None:
            assert process.returncode == _STORAGE_FAILED, text
            assert re.search(r"state\.db(-wal)?: damaged", text), text
            assert "truncate -s " in text or "sqlite3 '" in text, text
            assert _digests(daemon) == before, "a refused store was changed"
            return "refused"
        return {task.id for task in daemon.client.list()}


def _flip(name, place, bit):
    def damage(state_dir):
        with open(os.path.join(state_dir, name), "r+b") as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ (1 << bit)]))
    return damage


def _cut(name, size):
    return lambda state_dir: os.truncate(os.path.join(state_dir, name), size)


def _used_wal(folder):
    """Bytes of the WAL in front of the zeros that it keeps in reserve."""
    with open(os.path.join(folder, "state.db-wal"), "rb") as file:
        return 32 + (len(file.read().rstrip(b"\0")) - 32 + _FRAME - 1) // _FRAME * _FRAME


def test_undamaged_it_knows_every_task(killed):
    assert _open_damaged(killed, lambda _: None) == killed[2]


def test_the_database_cut_at_pages_is_refused(killed):
    pages = os.path.getsize(os.path.join(killed[0], "state.db")) // _PAGE
    for page in sorted({0, 1, pages // 2, pages - 1, *random.Random(1).sample(range(pages), min(pages, _PLACES))}):
        assert _open_damaged(killed, _cut("state.db", page * _PAGE)) in ("refused", killed[2]), page


def test_the_wal_cut_anywhere_is_an_earlier_moment(killed):
    frames = (_used_wal(killed[0]) - 32) // _FRAME
    for frame in sorted({0, 1, frames // 2, frames - 1, *random.Random(2).sample(range(frames), min(frames, _PLACES))}):
        for size in (32 + frame * _FRAME, 32 + frame * _FRAME + 1000):
            known = _open_damaged(killed, _cut("state.db-wal", size))
            assert known != "refused" and killed[1] <= known <= killed[2], size


def test_bits_flipped_in_the_wal_are_found(killed):
    used, rng, refused = _used_wal(killed[0]), random.Random(3), 0
    for _ in range(2 * _PLACES):
        outcome = _open_damaged(killed, _flip("state.db-wal", rng.randrange(used), rng.randrange(8)))
        refused += outcome == "refused"
        assert outcome == "refused" or killed[1] <= outcome <= killed[2]
    assert refused


def test_bits_flipped_in_the_database_change_nothing_or_are_found(killed):
    size, rng = os.path.getsize(os.path.join(killed[0], "state.db")), random.Random(4)
    for _ in range(2 * _PLACES):
        outcome = _open_damaged(killed, _flip("state.db", rng.randrange(100, size), rng.randrange(8)))
        assert outcome in ("refused", killed[2])


def test_the_command_that_is_told_repairs_a_damaged_wal(killed):
    folder, tasks, _ = killed
    with Daemon() as daemon:
        shutil.copytree(folder, daemon.state_dir, dirs_exist_ok=True)
        _flip("state.db-wal", 32 + 3 * _FRAME + 500, 3)(daemon.state_dir)
        daemon.launch()
        assert daemon.process.wait(60 * SLOWNESS) == _STORAGE_FAILED
        size, path = re.search(r"truncate -s (\d+) '([^']+)'", daemon.log_text()).groups()
        os.truncate(path, int(size))
        daemon.start()
        assert tasks <= {task.id for task in daemon.client.list()}
