"""Where a command's secrets come from. Values are masked in Airflow's logs, and never kept on the operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Union

from boxkeeper.airflow.commands.compat import AirflowFailException, BaseHook

# A template, or one of {"value": TEMPLATE}, {"connection": ID, "field": FIELD}, {"variable": KEY}, {"env": NAME}, {"file": PATH}.
SecretSource = Union[str, Mapping[str, str]]
_CONNECTION_FIELDS = ("password", "login", "host", "uri")
_KEYS = {"value": {"value"}, "connection": {"connection", "field"}, "variable": {"variable"}, "env": {"env"}, "file": {"file"}}


def check_source(name: str, source: Any) -> None:
    """ValueError if `source` is no SecretSource. Its text shows no value: it may be one."""
    if isinstance(source, str):
        return
    if isinstance(source, Mapping):
        kinds = [kind for kind in _KEYS if kind in source]
        texts = all(isinstance(value, str) for value in source.values())
        if len(kinds) == 1 and set(source) <= _KEYS[kinds[0]] and texts:
            field = source.get("field", "password")
            if kinds[0] != "connection" or field in _CONNECTION_FIELDS or field.startswith("extra."):
                return
            raise ValueError(f"{name}: field {field!r} of a connection: it is one of {', '.join(_CONNECTION_FIELDS)}, extra.KEY")
    raise ValueError(f"{name}: a secret is a text, or a map with one of value, connection (and field), variable, env, file")


class SecretResolver:
    """Resolves the sources of one execution. `values` are those that are known here, for masking what is published."""

    def __init__(self, render: Callable[[str], Any]) -> None:
        """`render` fills in a template."""
        self._render = render
        self.values: list[str] = []

    def reference(self, source: SecretSource) -> tuple[str, str]:
        """("env", NAME) or ("file", PATH) if the daemon itself resolves it, else ("", "")."""
        if isinstance(source, Mapping):
            for kind in ("env", "file"):
                if kind in source:
                    return kind, source[kind]
        return "", ""

    def value(self, name: str, source: SecretSource) -> str:
        """The value of a source that is no reference; masked from here on. AirflowFailException if there is none."""
        text = self._lookup(name, source)
        if not isinstance(text, str) or not text.strip():
            raise AirflowFailException(f"secret {name}: {_describe(source)} gives no text")
        secret = text.strip()  # without what a shell takes off, too
        self._mask(secret)
        self.values.append(secret)
        return text

    def redact(self, text: str) -> str:
        """`text` with every value known here overwritten by ***, as the daemon does in logs (6 characters or longer)."""
        for value in sorted(self.values, key=len, reverse=True):
            if len(value) >= 6:
                text = text.replace(value, "***")
        return text

    def _lookup(self, name: str, source: SecretSource) -> Any:
        template = source if isinstance(source, str) else source.get("value")
        if template is not None:
            text = self._render(template)
            ended = template.endswith("\n") and isinstance(text, str) and not text.endswith("\n")
            return text + "\n" if ended else text  # Jinja takes the newline off, which a key file needs
        assert not isinstance(source, str)
        if "variable" in source:
            from airflow.sdk import Variable

            return Variable.get(source["variable"])
        return self._of_connection(name, BaseHook.get_connection(source["connection"]), source.get("field", "password"))

    @staticmethod
    def _of_connection(name: str, connection: Any, field: str) -> Any:
        if field == "uri":
            return connection.get_uri()
        if field.startswith("extra."):
            value = connection.extra_dejson.get(field[len("extra."):])
            return value if value is None or isinstance(value, str) else str(value)
        return getattr(connection, field)

    @staticmethod
    def _mask(value: str) -> None:
        from airflow.sdk.log import mask_secret

        mask_secret(value)


def _describe(source: SecretSource) -> str:
    if isinstance(source, str) or "value" in source:
        return "its template"
    if "variable" in source:
        return f"variable {source['variable']!r}"
    return f"{source.get('field', 'password')} of connection {source.get('connection')!r}"
