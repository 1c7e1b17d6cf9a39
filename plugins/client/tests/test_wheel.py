"""What is uploaded to a package index: a wheel and a source distribution, both with files where the tree has links."""

import os
import subprocess
import tarfile
import zipfile

import pytest

from tests.harness import servers, venvs
from tests.harness.stubs import ROOT

_PACKAGE = os.path.join(ROOT, "plugins", "airflow")
_HERE = os.path.dirname(os.path.abspath(__file__))

pytestmark = pytest.mark.skipif(not os.environ.get("BOXKEEPER_FULL"), reason="needs a builder from the package index: for BOXKEEPER_FULL")


def _build(folder, what, into):
    """Builds the project in `folder`; returns the path of what was made."""
    try:
        builder = venvs.pinned("hatchling", os.path.join(_HERE, "hatchling.txt"))
    except servers.Unavailable as why:
        pytest.skip(str(why))
    os.makedirs(into)
    done = subprocess.run([os.path.join(builder, "bin", "python"), "-m", "hatchling", "build", "-t", what, "-d", into], cwd=folder, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    [name] = os.listdir(into)
    return os.path.join(into, name)


def _contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_wheel_and_source_distribution_hold_the_client_and_make_the_same(tmp_path):
    wheel = _build(_PACKAGE, "wheel", tmp_path / "wheel")
    source = _build(_PACKAGE, "sdist", tmp_path / "sdist")
    with tarfile.open(source) as archive:
        assert {member.type for member in archive.getmembers()} <= {tarfile.REGTYPE, tarfile.DIRTYPE}
        archive.extractall(tmp_path / "source")
    [project] = os.listdir(tmp_path / "source")
    again = _build(tmp_path / "source" / project, "wheel", tmp_path / "again")
    contents = _contents(wheel)
    assert _contents(again) == contents and os.path.basename(again) == os.path.basename(wheel)
    for name in ("boxkeeper/client/sync.py", "boxkeeper/v1/executor_pb2.py", "boxkeeper/v1/executor_pb2.pyi", "boxkeeper/client/py.typed",
                 "boxkeeper/airflow/py.typed", "boxkeeper/airflow/provider_info.py"):
        with open(os.path.join(_PACKAGE, "src", name), "rb") as file:
            assert contents[name] == file.read(), name
    assert "boxkeeper/__init__.py" not in contents
    assert not [name for name in contents if "test" in name or "__pycache__" in name]


def test_the_wheel_says_what_it_needs_and_where_airflow_finds_it(tmp_path):
    contents = _contents(_build(_PACKAGE, "wheel", tmp_path / "wheel"))
    metadata = next(text.decode() for name, text in contents.items() if name.endswith("/METADATA"))
    needs = {line.partition(": ")[2].split(">")[0].split("<")[0] for line in metadata.splitlines() if line.startswith("Requires-Dist:")}
    assert needs == {"apache-airflow", "protobuf", "grpcio", "googleapis-common-protos"}
    assert "License-File: LICENSE" in metadata
    points = next(text.decode() for name, text in contents.items() if name.endswith("/entry_points.txt"))
    assert "[apache_airflow_provider]\nprovider_info = boxkeeper.airflow.provider_info:get_provider_info" in points
