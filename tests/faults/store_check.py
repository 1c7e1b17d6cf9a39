"""Reads a closed store without the daemon's code: docs/store.md says what must be in it."""

import glob
import os
import shutil
import sqlite3
import struct
import tempfile


def _crc32c_table():
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _crc32c_table()
_CHECKED_MAX = 10_000


def crc32c(data):
    """CRC32C (Castagnoli) of bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def records(state_dir):
    """(position, body) of every record, ascending, from a copy of the store."""
    with tempfile.TemporaryDirectory() as scratch:
        for path in glob.glob(os.path.join(state_dir, "state.db*")):
            shutil.copy(path, scratch)
        store = sqlite3.connect(os.path.join(scratch, "state.db"))
        try:
            assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            rows = store.execute("SELECT position, crc, body FROM record ORDER BY position").fetchall()
            summary = store.execute("SELECT records, checksum, last_position FROM summary").fetchone()
        finally:
            store.close()
    # All of a test's; some of a long soak's, as Python takes a second for a few thousand.
    for position, crc, body in rows[::1 + len(rows) // _CHECKED_MAX]:
        assert crc == crc32c(struct.pack("<q", position) + body), f"record {position}"
    assert summary[:2] == (len(rows), sum(crc for _, crc, _ in rows)), summary
    assert not rows or rows[-1][0] <= summary[2], summary
    return [(position, body) for position, _, body in rows]


def check(state_dir):
    """Fails unless the store is whole."""
    assert records(state_dir)
