"""`airflow boxkeeper check` says what works, and the first thing that does not."""

import argparse
import http.server
import sys
import threading

import airflow
import pytest

from boxkeeper.airflow.cli.check import check
from boxkeeper.airflow.cli.definition import get_cli_commands


class _ExecutionApi(http.server.BaseHTTPRequestHandler):
    """As much of it as the check asks for."""

    def do_GET(self):
        self.send_response(200 if self.path == "/execution/health" else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def api():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _ExecutionApi) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def configured(daemon, api, monkeypatch):
    """Sets the section [boxkeeper] so that everything works; gives a function that changes an option."""
    def put(key, value):
        monkeypatch.setenv(f"AIRFLOW__BOXKEEPER__{key.upper()}", value)

    put("address", f"unix:{daemon.socket}")
    put("python", sys.executable)
    put("execution_api_server_url", f"{api}/execution/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    put("pass_env", "NO_PROXY")
    return put


def _check(validate_only=False):
    check(argparse.Namespace(validate_only=validate_only))


def test_all_is_well(configured, api, capsys):
    _check()
    said = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert said["sandbox"].startswith("provider local, task ") and "SUCCEEDED" in said["sandbox"]
    assert said["inside"] == f"airflow {airflow.__version__} python {sys.version.split()[0]}"
    assert said["api"] == f"{api}/execution/ answers the sandbox"


def test_validate_only_runs_nothing(configured, daemon, capsys):
    before = len(daemon.client.list())
    _check(validate_only=True)
    assert "the daemon would run it at provider local" in capsys.readouterr().out
    assert len(daemon.client.list()) == before


@pytest.mark.parametrize("key, value, words", [
    ("address", "unix:/nonexistent/socket", "cannot reach boxkeeperd"),
    ("timeout", "soon", r"\[boxkeeper\] timeout"),
    ("overrides", '{"provider": "nowhere"}', "sandbox_override.provider"),
    ("python", "/nonexistent/python", "what the sandbox said"),
    ("execution_api_server_url", "http://127.0.0.1:1/execution/", "cannot be reached from the sandbox"),
])
def test_the_first_thing_that_does_not_work_is_told(configured, key, value, words):
    configured(key, value)
    with pytest.raises(SystemExit, match=words) as caught:
        _check()
    assert str(caught.value).startswith("boxkeeper check failed: ")


def test_what_the_daemon_would_refuse_is_told_without_running(configured):
    configured("overrides", '{"provider": "nowhere", "cpuu": 1}')
    with pytest.raises(SystemExit, match="sandbox_override.cpuu: unknown key") as caught:
        _check(validate_only=True)
    assert "sandbox_override.provider" in str(caught.value)


def test_airflows_parser_takes_the_commands():
    from airflow.cli import cli_parser

    if "boxkeeper" not in cli_parser.ALL_COMMANDS_DICT:  # before 3.2 commands come from the configured executor
        [group] = get_cli_commands()
        parser = argparse.ArgumentParser()
        cli_parser._add_command(parser.add_subparsers(), group)
        arguments = parser.parse_args(["boxkeeper", "check", "--validate-only"])
    else:
        arguments = cli_parser.get_parser().parse_args(["boxkeeper", "check", "--validate-only"])
    assert arguments.validate_only and callable(arguments.func)
