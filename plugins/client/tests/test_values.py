"""Settings, keys, specs and names: what needs no daemon."""

import pickle
import subprocess
import sys

import pytest
from google.protobuf import json_format

from boxkeeper.client import ConnectionSettings, InvalidSettings, keys, names, specs
from boxkeeper.v1 import task_pb2


@pytest.mark.parametrize("address, target", [
    ("127.0.0.1:7433", "dns:///127.0.0.1:7433"), ("example.com", "dns:///example.com:7433"), ("unix:/a b", "unix:/a b"),
    ("unix:///run/x", "unix:/run/x"), ("[::1]:1", "dns:///[::1]:1"), ("::1", "dns:///[::1]:7433"), ("[fe80::1]", "dns:///[fe80::1]:7433"),
])
def test_addresses_are_those_of_the_command_line(address, target):
    assert ConnectionSettings(address).target == target


@pytest.mark.parametrize("settings, words", [
    ({"address": "http://x:1"}, "is no URL"), ({"address": "unix:"}, "no path"), ({"address": "x:0"}, "bad port"),
    ({"address": "x:99999"}, "bad port"), ({"address": "x:y"}, "HOST:PORT"), ({"address": ""}, "HOST:PORT"),
    ({"cert_file": "a"}, "go together"), ({"cert_file": "a", "key_file": "b"}, "needs TLS"), ({"timeout": 0}, "above 0"),
    ({"token": "hunter22", "token_file": "f"}, "one of them"), ({"token": "hunter 22"}, "printable"), ({"max_attempts": 0}, "at least 1"),
    ({"token": "hunter22", "address": "example.com"}, "plain text"), ({"token_file": "f", "address": "127.0.0.1.example.com"}, "plain text"),
])
def test_settings_that_cannot_work_are_refused_without_showing_the_token(settings, words):
    with pytest.raises(InvalidSettings, match=words) as caught:
        ConnectionSettings(**settings).check()
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize("settings", [
    {"token": "t", "address": "unix:/x"}, {"token": "t", "address": "localhost:1"}, {"token": "t", "address": "[::1]:1"},
    {"token": "t", "address": "127.1.2.3:1"}, {"token": "t", "address": "example.com:1", "tls": True},
    {"token": "t", "address": "example.com:1", "ca_file": "f"}, {"cert_file": "a", "key_file": "b", "ca_file": "c"},
])
def test_settings_that_work(settings):
    ConnectionSettings(**settings).check()


def test_the_token_is_not_shown_and_its_file_is_read_each_time(tmp_path):
    assert "hunter22" not in repr(ConnectionSettings(token="hunter22"))
    file = tmp_path / "token"
    settings = ConnectionSettings(token_file=str(file))
    with pytest.raises(InvalidSettings, match="cannot read"):
        settings.current_token()
    file.write_text("one\n")
    assert settings.current_token() == "one"
    file.write_text("two")
    assert settings.current_token() == "two"
    file.write_text("secret one\nsecret two\n")
    with pytest.raises(InvalidSettings) as caught:
        settings.current_token()
    assert "secret" not in str(caught.value).replace(str(tmp_path), "")


def test_settings_come_from_the_environment_of_boxctl():
    environment = {"BOXKEEPER_SERVER": "unix:/x", "BOXKEEPER_CA_FILE": "ca", "BOXKEEPER_TOKEN_FILE": "t", "BOXKEEPER_CERT_FILE": ""}
    assert ConnectionSettings.from_env(environment) == ConnectionSettings("unix:/x", ca_file="ca", token_file="t")
    assert ConnectionSettings.from_env({}) == ConnectionSettings()


def test_settings_can_be_pickled():
    settings = ConnectionSettings("unix:/x", token="t")
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_importing_the_package_costs_neither_grpc_nor_protobuf():
    code = "import sys, boxkeeper.client as c; c.ConnectionSettings(); sys.exit(any(m in sys.modules for m in ('grpc', 'google.protobuf')))"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


@pytest.mark.parametrize("text, key", [
    ("default/COMMAND///job/-1/1", {"name": "job"}),
    ("n%20s/TASK/d%2Fag/r%3A%2B/t.x~-_/7/3", {"namespace": "n s", "kind": "TASK", "group": "d/ag", "run": "r:+", "name": "t.x~-_", "index": 7,
                                              "try_number": 3}),
    ("%2E/STEP/%2E%2E//...%C3%A4%25/-1/1", {"namespace": ".", "kind": "STEP", "group": "..", "name": "...ä%"}),
])
def test_keys_have_one_string_form(text, key):
    message = keys.make_key(**key)
    assert keys.key_string(message) == text
    assert keys.key_string(keys.parse_key(text)) == text
    assert keys.parse_key("////job//") == keys.parse_key("default/COMMAND///job/-1/1")


@pytest.mark.parametrize("text, words", [
    ("a/b", "2 parts"), ("a/TASK/%zz///-1/1", "group: '%'"), ("a/TASK//%ff//-1/1", "run: not UTF-8"), ("a/TASK///%00/-1/1", "name: contains NUL"),
    ("a/JOB////-1/1", "kind"), ("a/TASK////-2/1", "index"), ("a/TASK////1/x", "try"), ("a/TASK////99999999999/1", "index"), ("a/TASK////+1/1", "index"),
])
def test_what_is_no_key_is_refused(text, words):
    with pytest.raises(InvalidSettings, match=words):
        keys.parse_key(text)


def test_a_prefix_ends_where_a_part_ends():
    assert keys.key_prefix(namespace="airflow", kind="TASK", group="dag", run="r 1") == "airflow/TASK/dag/r%201/"
    assert keys.key_prefix(kind="TASK", group="d", run="r", name="t", index=-1) == "default/TASK/d/r/t/-1/"
    whole = keys.key_string(keys.make_key("t", kind="TASK", group="d", run="r", try_number=4))
    assert whole.startswith(keys.key_prefix(kind="TASK", group="d", run="r", name="t", index=-1))


def test_a_spec_holds_what_it_was_given():
    spec = specs.make_spec(keys.make_key("job"), script="print(1)", lang="python", owner="me", labels={"a": "b"}, on_live_key="AFTER",
                           override={"env": {"A": "1"}, "provider": ("x", "y"), "cpu": 2, "read_only_root": True, "timeout": "5m"},
                           files=[specs.make_file("in", "text", mode=0o600), specs.make_file("s", b"\xff", secret=True)],
                           secrets={"KEY": "value", "REF": task_pb2.Secret(env="OTHER")}, lease_ttl=1.5, cancel_on_lapse=True, submission_id="id")
    assert (spec.submission_id, spec.owner, spec.command.script.lang, spec.command.script.body) == ("id", "me", "python", "print(1)")
    assert json_format.MessageToDict(spec.sandbox_override) == {"env": {"A": "1"}, "provider": ["x", "y"], "cpu": 2.0, "read_only_root": True, "timeout": "5m"}
    assert [(f.path, f.content, f.mode, f.secret) for f in spec.files] == [("in", b"text", 0o600, False), ("s", b"\xff", 0, True)]
    assert (spec.secrets["KEY"].value, spec.secrets["REF"].env) == ("value", "OTHER")
    assert (spec.lease.ttl.ToMilliseconds(), spec.lease.on_lapse, spec.on_live_key) == (1500, task_pb2.Lease.CANCEL, task_pb2.ON_LIVE_KEY_AFTER)
    assert specs.make_spec(keys.make_key("job"), shell="x").submission_id != specs.make_spec(keys.make_key("job"), shell="x").submission_id


@pytest.mark.parametrize("forms", [{}, {"argv": ["a"], "shell": "b"}])
def test_a_spec_has_exactly_one_command(forms):
    with pytest.raises(InvalidSettings, match="exactly one"):
        specs.make_spec(keys.make_key("job"), **forms)


def test_names_of_values_also_of_newer_daemons():
    task = task_pb2.Task(state="TASK_STATE_FAILED", reason="REASON_EXIT_CODE", exit_code=3)
    assert (names.state_name(task.state), names.reason_name(task.reason), names.describe_end(task)) == (
        "FAILED", "EXIT_CODE", "FAILED/EXIT_CODE: exit code 3")
    assert names.is_terminal(task) and not names.succeeded(task)
    assert names.state_name(77) == "77" and names.event_name(2) == "LOG_COMPLETE"
    with pytest.raises(InvalidSettings, match="RUNNING"):
        names.enum_value(task_pb2.TaskState, "RUNNIN", "TASK_STATE_")
