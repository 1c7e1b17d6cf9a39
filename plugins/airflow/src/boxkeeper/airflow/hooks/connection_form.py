"""The form of a `boxkeeper` connection, told once: as data for Airflow 3.2 and later, as widgets for 3.0 and 3.1."""

from __future__ import annotations

from typing import Any

CONN_TYPE = "boxkeeper"
HOOK_NAME = "Boxkeeper"

# Keys of the connection's extra: type, label, what it means.
EXTRA: dict[str, tuple[str, str, str]] = {
    "tls": ("boolean", "TLS", "Speak TLS; a CA file implies it"),
    "ca_file": ("string", "CA file", "PEM certificates that the daemon's is checked against; empty with TLS: the system's"),
    "cert_file": ("string", "Certificate file", "Own certificate (PEM), where the daemon asks for one"),
    "key_file": ("string", "Key file", "Its private key (PEM)"),
    "token_file": ("string", "Token file", "File with the bearer token, instead of the token above; read again for each call"),
    "timeout": ("number", "Timeout (s)", "Seconds that a call may take; default 10"),
}

HIDDEN_FIELDS = ["login", "schema"]
RELABELING = {"password": "Token"}
PLACEHOLDERS = {
    "host": "boxkeeper.example.com, or unix:/run/boxkeeper/grpc.sock",
    "port": "7433",
    "password": "bearer token, where the daemon asks for one",
}


def conn_fields() -> dict[str, Any]:
    """`conn-fields` of the provider info."""
    return {
        name: {"label": label, "description": description, "schema": {"type": [kind, "null"]}}
        for name, (kind, label, description) in EXTRA.items()
    }


def ui_field_behaviour() -> dict[str, Any]:
    """`ui-field-behaviour` of the provider info."""
    return {"hidden-fields": HIDDEN_FIELDS, "relabeling": RELABELING, "placeholders": PLACEHOLDERS}


def widgets() -> dict[str, Any]:
    """What get_connection_form_widgets returns: wtforms' fields, which only Airflow's UI code has."""
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from flask_babel import lazy_gettext
    from wtforms import BooleanField, StringField

    def field(kind: str, label: str, description: str) -> Any:
        if kind == "boolean":
            return BooleanField(lazy_gettext(label), description=description)
        return StringField(lazy_gettext(label), widget=BS3TextFieldWidget(), description=description)

    return {name: field(*definition) for name, definition in EXTRA.items()}
