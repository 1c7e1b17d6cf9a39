"""The hook of the connection type `boxkeeper`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from boxkeeper.airflow.hooks import connection_form

if TYPE_CHECKING:
    from airflow.sdk import BaseHook

    from boxkeeper.client import AsyncClient, Client, ConnectionSettings
else:
    try:
        from airflow.sdk import BaseHook
    except ImportError:  # Airflow 3.0
        from airflow.hooks.base import BaseHook

_TEST_SECONDS = 5.0
_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False, "": False}


class SandboxHook(BaseHook):
    """Clients of the daemon that an Airflow connection names.

    host, port:  where it is; host may be unix:/PATH (or /PATH)
    password:    bearer token, where the daemon asks for one
    extra:       tls, ca_file, cert_file, key_file, token_file, timeout (connection_form.EXTRA)
    """

    conn_name_attr = "boxkeeper_conn_id"
    default_conn_name = "boxkeeper_default"
    conn_type = connection_form.CONN_TYPE
    hook_name = connection_form.HOOK_NAME

    def __init__(self, boxkeeper_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.boxkeeper_conn_id = boxkeeper_conn_id

    @staticmethod
    def get_connection_form_widgets() -> dict[str, Any]:
        """For Airflow before 3.2, which has no conn-fields."""
        return connection_form.widgets()

    @staticmethod
    def get_ui_field_behaviour() -> dict[str, Any]:
        """For Airflow before 3.2, which has no ui-field-behaviour."""
        return {"hidden_fields": connection_form.HIDDEN_FIELDS, "relabeling": connection_form.RELABELING,
                "placeholders": connection_form.PLACEHOLDERS}

    def settings(self) -> ConnectionSettings:
        """The connection's settings. InvalidSettings says what is wrong with it."""
        return settings_of(self.get_connection(self.boxkeeper_conn_id))

    def get_conn(self) -> Client:
        """A client, to be closed by the caller (`with`)."""
        from boxkeeper.client import Client

        return Client(self.settings())

    def get_async_conn(self) -> AsyncClient:
        """The same for asyncio. It reads the connection, which blocks: in a trigger make the settings before."""
        from boxkeeper.client import AsyncClient

        return AsyncClient(self.settings())

    def test_connection(self) -> tuple[bool, str]:
        """Whether the daemon answers, and what it says: for the test button."""
        from boxkeeper.client import BoxkeeperError

        try:
            with self.get_conn() as client:
                status = client.get_status(timeout=_TEST_SECONDS)
        except BoxkeeperError as error:
            return False, str(error)
        text = f"boxkeeperd {status.version}, deployment {status.deployment_id}"
        if not status.ready:
            return False, f"{text}: not ready: {'; '.join(status.not_ready_because)}"
        return True, text + (": draining, it starts nothing new" if status.draining else ": ready")


def settings_of(connection: Any) -> ConnectionSettings:
    """Settings from an Airflow connection. InvalidSettings for what cannot be; no message carries the token."""
    from boxkeeper.client import ConnectionSettings, InvalidSettings

    extra = {key: value for key, value in connection.extra_dejson.items() if value is not None}
    unknown = sorted(set(extra) - set(connection_form.EXTRA))
    if unknown:
        raise InvalidSettings(f"extra: unknown {', '.join(unknown)}; allowed: {', '.join(connection_form.EXTRA)}")
    settings = ConnectionSettings(
        address=_address(connection.host, connection.port),
        tls=_truth("tls", extra.get("tls", False)),
        ca_file=str(extra.get("ca_file", "")),
        cert_file=str(extra.get("cert_file", "")),
        key_file=str(extra.get("key_file", "")),
        token=connection.password or "",
        token_file=str(extra.get("token_file", "")),
        timeout=_number("timeout", extra.get("timeout"), ConnectionSettings.timeout),
    )
    settings.check()
    return settings


def _address(host: Optional[str], port: Optional[int]) -> str:
    from boxkeeper.client import DEFAULT_ADDRESS

    if not host:
        return DEFAULT_ADDRESS if port is None else f"127.0.0.1:{port}"
    if host.startswith("/"):
        return f"unix:{host}"
    if port is None or host.startswith("unix:"):
        return host
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def _truth(key: str, value: Any) -> bool:
    from boxkeeper.client import InvalidSettings

    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in _WORDS:
        raise InvalidSettings(f"extra: {key}: must be true or false, not {value!r}")
    return _WORDS[word]


def _number(key: str, value: Any, default: float) -> float:
    from boxkeeper.client import InvalidSettings

    if value is None or value == "":
        return default
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InvalidSettings(f"extra: {key}: must be a number of seconds, not {value!r}") from None
