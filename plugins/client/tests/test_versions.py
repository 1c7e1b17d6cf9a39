"""The committed stubs under every protobuf and gRPC that users may have. Debian's own (4.21 and 1.51) run all other tests."""

import glob
import os
import subprocess

import pytest

from tests.harness import servers, venvs
from tests.harness.daemon import Daemon
from tests.harness.stubs import ROOT

_HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "versions")
_REQUIREMENTS = sorted(glob.glob(os.path.join(_HERE, "*.txt")))

pytestmark = pytest.mark.skipif(not os.environ.get("BOXKEEPER_FULL"), reason="makes environments from the package index: for BOXKEEPER_FULL")


@pytest.mark.parametrize("implementation", ["upb", "python"])
@pytest.mark.parametrize("requirements", _REQUIREMENTS, ids=lambda path: os.path.basename(path)[:-len(".txt")])
def test_the_client_works_with(requirements, implementation):
    try:
        folder = venvs.pinned("client-" + os.path.basename(requirements)[:-len(".txt")], requirements)
    except servers.Unavailable as why:
        pytest.skip(str(why))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.path.join(ROOT, "plugins", "client", "src"),
                   "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation, "PYTHONDONTWRITEBYTECODE": "1"}
    with Daemon() as daemon:
        daemon.start()
        done = subprocess.run([os.path.join(folder, "bin", "python"), "-W", "error::DeprecationWarning:boxkeeper", os.path.join(_HERE, "program.py"),
                               f"unix:{daemon.socket}"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
                              check=False)
    assert done.returncode == 0, done.stdout
