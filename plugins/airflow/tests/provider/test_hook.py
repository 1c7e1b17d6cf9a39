"""The connection type `boxkeeper`: from what a user typed to a client, and the test button."""

import json

import pytest
from airflow.models.connection import Connection

from boxkeeper.airflow.hooks import connection_form
from boxkeeper.airflow.hooks.sandbox import SandboxHook, settings_of
from boxkeeper.client import ConnectionSettings, InvalidSettings


def _connection(**fields):
    extra = fields.pop("extra", None)
    return Connection(conn_id="c", conn_type="boxkeeper", extra=json.dumps(extra) if extra is not None else None, **fields)


@pytest.mark.parametrize("fields, settings", [
    ({}, ConnectionSettings()),
    ({"port": 1}, ConnectionSettings("127.0.0.1:1")),
    ({"host": "example.com"}, ConnectionSettings("example.com")),
    ({"host": "example.com", "port": 7}, ConnectionSettings("example.com:7")),
    ({"host": "::1", "port": 7}, ConnectionSettings("[::1]:7")),
    ({"host": "unix:/run/x"}, ConnectionSettings("unix:/run/x")),
    ({"host": "/run/x", "password": "hunter22"}, ConnectionSettings("unix:/run/x", token="hunter22")),
    ({"host": "e", "password": "hunter22", "extra": {"tls": True}}, ConnectionSettings("e", tls=True, token="hunter22")),
    ({"host": "e", "extra": {"tls": "true", "ca_file": "a", "cert_file": "b", "key_file": "c", "token_file": "d", "timeout": "2.5"}},
     ConnectionSettings("e", tls=True, ca_file="a", cert_file="b", key_file="c", token_file="d", timeout=2.5)),
    ({"extra": {"tls": None, "ca_file": None, "timeout": ""}}, ConnectionSettings()),  # an untouched form
])
def test_settings_are_what_the_connection_says(fields, settings):
    connection = _connection(**fields)
    assert settings_of(connection) == settings
    assert settings_of(Connection(conn_id="c", uri=connection.get_uri())) == settings  # how the test button hands it over


@pytest.mark.parametrize("fields, words", [
    ({"extra": {"tsl": True}}, "unknown tsl; allowed: tls, ca_file"), ({"extra": {"tls": "maybe"}}, "true or false"),
    ({"extra": {"timeout": "soon"}}, "number of seconds"), ({"host": "http://x"}, "is no URL"),
    ({"host": "example.com", "password": "hunter22"}, "plain text"), ({"extra": {"cert_file": "a"}}, "go together"),
])
def test_what_cannot_be_is_refused_without_showing_the_token(fields, words):
    with pytest.raises(InvalidSettings, match=words) as caught:
        settings_of(_connection(**fields))
    assert "hunter22" not in str(caught.value)


def test_the_extra_of_the_form_is_the_extra_of_the_hook():
    for name, (kind, _, _) in connection_form.EXTRA.items():
        value = {"boolean": True, "number": 3, "string": "/f"}[kind]
        extra = {"ca_file": "/ca", name: value, **({"key_file": "/k"} if name == "cert_file" else {}),
                 **({"cert_file": "/c"} if name == "key_file" else {})}
        assert getattr(settings_of(_connection(extra=extra)), name) == value


def _test(monkeypatch, **connection):
    monkeypatch.setenv("AIRFLOW_CONN_BOXKEEPER_DEFAULT", json.dumps({"conn_type": "boxkeeper", **connection}))
    return SandboxHook().test_connection()


def test_the_test_button_says_what_it_found(daemon, monkeypatch):
    worked, message = _test(monkeypatch, host=daemon.socket)
    assert worked and message.startswith("boxkeeperd ") and message.endswith(": ready")
    daemon.boxctl("drain")
    try:
        worked, message = _test(monkeypatch, host=daemon.socket)
        assert worked and "draining" in message
    finally:
        daemon.boxctl("drain", "--off")


def test_the_test_button_says_why_not(monkeypatch):
    worked, message = _test(monkeypatch, host="unix:/nonexistent/socket", extra={"timeout": 1})
    assert not worked and "cannot reach boxkeeperd at unix:/nonexistent/socket" in message
    worked, message = _test(monkeypatch, host="localhost", extra={"tls": "perhaps"})
    assert not worked and "true or false" in message


def test_the_test_button_of_a_worker(daemon):
    """Airflow 3.3 runs it there, without the database."""
    sdk = pytest.importorskip("airflow.sdk")
    if not hasattr(sdk.Connection, "test_connection"):
        pytest.skip("this Airflow tests connections in the API server")
    worked, message = sdk.Connection(conn_id="unsaved", conn_type="boxkeeper", host=daemon.socket).test_connection()
    assert worked and message.endswith(": ready")


def test_clients_of_a_connection(daemon, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_MINE", json.dumps({"conn_type": "boxkeeper", "host": daemon.socket, "password": "hunter22"}))
    hook = SandboxHook(boxkeeper_conn_id="mine")
    with hook.get_conn() as client:
        assert client.get_capacity().accepting
        assert "hunter22" not in repr(client.settings)


def test_the_form_in_the_ui():
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    [form] = [hook for hook in HookMetaService.hook_meta_data() if hook.connection_type == "boxkeeper"]
    if form.extra_fields is None:
        pytest.skip("Airflow 3.0 without the FAB provider shows no fields of any provider; the extra's JSON can be typed")
    assert set(form.extra_fields) == set(connection_form.EXTRA)
    assert form.standard_fields.password.title == "Token"
    assert form.standard_fields.login.hidden and form.standard_fields.url_schema.hidden
