"""The examples of docs/python-client.md do what they say."""

import os
import re

from tests.harness.daemon import Daemon
from tests.harness.stubs import ROOT


def test_the_examples_run_one_after_the_other(monkeypatch, capsys):
    with open(os.path.join(ROOT, "docs", "python-client.md"), encoding="utf-8") as file:
        examples = re.findall(r"```python\n(.*?)```", file.read(), re.DOTALL)
    assert len(examples) == 6
    scope = {}
    with Daemon() as daemon:
        monkeypatch.setenv("BOXKEEPER_SERVER", f"unix:{daemon.start().socket}")
        for number, example in enumerate(examples):
            exec(compile(example, f"example {number}", "exec"), scope)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("SUCCEEDED/EXIT_CODE")
    assert "LOG_COMPLETE SUCCEEDED" in said and "default/COMMAND/experiments/2026-01/train/-1/1 SUCCEEDED" in said
