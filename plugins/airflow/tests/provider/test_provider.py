"""What Airflow is told of the package is right, and Airflow takes it."""

import importlib
import importlib.metadata
import json
import os
import subprocess
import sys

import airflow
import jsonschema
import pytest

from boxkeeper.airflow.options import OPTIONS, SECTION
from boxkeeper.airflow.provider_info import get_provider_info
from tests.harness.stubs import ROOT

_PACKAGE = "airflow-provider-boxkeeper"
_SOURCES = os.path.join(ROOT, "plugins", "airflow", "src")


def _provider_manager():
    from airflow.providers_manager import ProvidersManager

    return ProvidersManager()


def test_the_information_fits_airflows_schema():
    with open(os.path.join(os.path.dirname(airflow.__file__), "provider_info.schema.json"), encoding="utf-8") as file:
        jsonschema.validate(get_provider_info(), json.load(file))


def _names_in(info):
    for key in ("hooks", "operators", "triggers"):
        for entry in info.get(key, ()):
            yield from entry["python-modules"]
    for connection in info["connection-types"]:
        yield connection["hook-class-name"]
    for decorator in info.get("task-decorators", ()):
        yield decorator["class-name"]
    yield from info.get("executors", ())


def test_everything_that_it_names_is_there():
    for name in _names_in(get_provider_info()):
        module, _, attribute = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(module), attribute), name


def test_airflow_knows_the_package_its_connection_and_its_decorator():
    manager = _provider_manager()
    assert manager.providers[_PACKAGE].version == importlib.metadata.version(_PACKAGE)
    hook = manager.hooks["boxkeeper"]
    assert (hook.hook_class_name, hook.hook_name, hook.connection_id_attribute_name, hook.connection_testable) == (
        "boxkeeper.airflow.hooks.sandbox.SandboxHook", "Boxkeeper", "boxkeeper_conn_id", True)
    for decorator in get_provider_info().get("task-decorators", ()):
        assert decorator["name"] in dict(manager.taskflow_decorators)
    for executor in get_provider_info().get("executors", ()):
        assert executor in manager.executor_class_names


def test_airflows_configuration_knows_every_option():
    from airflow.configuration import conf

    _provider_manager().initialize_providers_configuration()  # what every component of Airflow does
    assert conf.get(SECTION, "address") == OPTIONS["address"].default
    known = conf.configuration_description[SECTION]["options"]
    assert {name: (entry["type"], entry["default"]) for name, entry in known.items()} == {
        name: (option.type, option.default) for name, option in OPTIONS.items()}


def test_only_the_token_is_sensitive():
    assert [name for name, option in OPTIONS.items() if option.sensitive] == ["token"]


@pytest.mark.parametrize("statement", ["import boxkeeper.airflow.provider_info", "import boxkeeper.airflow.hooks.connection_form"])
def test_what_every_process_imports_is_cheap(statement):
    heavy = ("grpc", "google.protobuf", "airflow")
    code = f"{statement}; import sys; sys.exit(', '.join(m for m in {heavy!r} if m in sys.modules) or 0)"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": ""}, cwd="/")


@pytest.mark.parametrize("module", ["executors.sandbox_executor", "operators.sandbox", "decorators.sandbox", "triggers.sandbox", "hooks.sandbox"])
def test_what_dag_files_and_schedulers_import_brings_no_grpc(module):
    code = f"import airflow, sys; before = set(sys.modules); import boxkeeper.airflow.{module}; sys.exit('grpc' in set(sys.modules) - before)"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": ""}, cwd="/", stderr=subprocess.DEVNULL)


def _files(folder):
    for parent, _, names in os.walk(folder, followlinks=True):
        for name in names:
            if not name.endswith(".pyc"):
                yield os.path.relpath(os.path.join(parent, name), folder)


def test_the_installed_package_has_every_file_and_no_link():
    code = "import boxkeeper.airflow, os; print(os.path.dirname(os.path.dirname(boxkeeper.airflow.__file__)))"
    installed = subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": ""}, cwd="/",
                               stdout=subprocess.PIPE, text=True).stdout.strip()
    assert not installed.startswith(ROOT) or ".state" in installed
    source = os.path.join(_SOURCES, "boxkeeper")
    assert sorted(_files(installed)) == sorted(_files(source))
    for name in _files(installed):
        path = os.path.join(installed, name)
        assert os.path.realpath(path) == os.path.realpath(installed) + "/" + name
        with open(path, "rb") as here, open(os.path.join(source, name), "rb") as there:
            assert here.read() == there.read(), name
