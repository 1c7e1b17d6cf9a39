"""The options of [boxkeeper]: told to Airflow, read by the executor and written in the documentation, all the same."""

import os
import re

from boxkeeper.airflow.executors import config
from boxkeeper.airflow.options import OPTIONS, SECTION
from tests.harness.stubs import ROOT


class _Asked:
    """A configuration in which nothing is set, or what `values` says."""

    def __init__(self, values=None):
        self.values, self.keys = values or {}, set()

    def get(self, section, key, **options):
        if section == SECTION:
            self.keys.add(key)
            return self.values.get(key, options.get("fallback"))
        return options.get("fallback")


def test_the_executor_reads_what_airflow_knows_and_nothing_else():
    asked = _Asked()
    config.read_options(asked)
    config.read_connection(asked)
    assert asked.keys == set(OPTIONS)


def test_the_defaults_told_are_those_in_force():
    told = _Asked({name: option.default for name, option in OPTIONS.items()})
    assert config.read_options(told) == config.read_options(_Asked())
    assert config.read_connection(told) == config.read_connection(_Asked())


def test_the_documentation_has_every_option():
    with open(os.path.join(ROOT, "docs", "airflow.md"), encoding="utf-8") as file:
        section = file.read().partition("## Every option")[2].partition("\n## ")[0]
    rows = {name: (default, meaning) for name, default, meaning in re.findall(r"^\| `(\w+)` \| `?(.*?)`? \| (.*) \|$", section, re.MULTILINE)}
    assert set(rows) == set(OPTIONS)
    for name, option in OPTIONS.items():
        default, meaning = rows[name]
        assert default.strip() == (option.default or ""), name
        assert meaning.startswith(option.description), name
