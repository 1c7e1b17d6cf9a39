"""The README's Python example is run as it stands."""

import os
import re
import subprocess

from tests.harness.stubs import ROOT, folder
from tests.harness.waiting import SLOWNESS


def test_the_first_plugin_call_works(shared):
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        blocks = re.findall(r"<!-- tests/e2e/test_readme.py runs this block -->\n```python\n(.*?)```", file.read(), re.DOTALL)
    assert len(blocks) == 1
    # The generated stubs bring google.rpc, of which Debian has no package.
    path = os.pathsep.join([os.path.join(ROOT, "plugins", "client", "src"), folder()])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "BOXKEEPER_SERVER": f"unix:{shared.socket}"}
    for attempt in range(1, 3):  # the key is free again after the end
        done = subprocess.run(["/usr/bin/python3", "-c", blocks[0]], check=False, capture_output=True, text=True,
                              timeout=60 * SLOWNESS, env=environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout == "rows: 42\nSUCCEEDED/EXIT_CODE: exit code 0\n", attempt
