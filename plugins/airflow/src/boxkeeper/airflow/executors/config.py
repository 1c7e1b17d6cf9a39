"""The section [boxkeeper] of Airflow's configuration, read once and checked: every mistake is told, not the first."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, Optional, Protocol

SECTION = "boxkeeper"
LAYOUTS = ("airflow", "plain")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# What a worker's process reads from the configuration and may differ from its default. None of these holds a secret.
_WORKER_OPTIONS = (
    ("core", "executor"), ("core", "multi_team"),  # where a task's `executor` is unknown, its DAG cannot be loaded
    ("core", "dags_folder"), ("core", "default_timezone"), ("core", "task_success_overtime"), ("core", "killed_task_cleanup_time"),
    ("core", "hide_sensitive_var_conn_fields"), ("core", "sensitive_var_conn_names"), ("core", "max_templated_field_length"),
    ("core", "default_task_retries"), ("core", "load_examples"), ("core", "allowed_deserialization_classes"),
    ("core", "allowed_deserialization_classes_regexp"),
    ("dag_processor", "dag_bundle_config_list"), ("dag_processor", "dag_bundle_storage_path"),
    ("logging", "logging_level"), ("logging", "fab_logging_level"), ("logging", "namespace_levels"),
    ("scheduler", "task_instance_heartbeat_timeout"),
    ("workers", "min_heartbeat_interval"), ("workers", "max_failed_heartbeats"), ("workers", "execution_api_retries"),
    ("workers", "execution_api_retry_wait_min"), ("workers", "execution_api_retry_wait_max"), ("workers", "execution_api_timeout"),
    ("workers", "missing_dag_retries"), ("workers", "missing_dag_retry_delay"), ("workers", "socket_cleanup_timeout"),
)
_REMOTE_LOG_OPTIONS = ("remote_logging", "remote_base_log_folder", "remote_log_conn_id", "encrypt_s3_logs",
                       "delete_local_logs", "google_key_path")


class Configuration(Protocol):
    """Airflow's configuration, or a team's view of it."""

    def get(self, section: str, key: str, **options: Any) -> Optional[str]:
        """The option's text; `fallback` where it is not set."""


class Layered:
    """A team's options over the deployment's. Airflow's own view of a team has, where nothing is set for it, the defaults, not
    what the deployment has set; so the team's places are asked by themselves: AIRFLOW__TEAM___SECTION__KEY and [team=section]."""

    def __init__(self, team: str, deployment: Configuration) -> None:
        self._team = team
        self._deployment = deployment

    def get(self, section: str, key: str, **options: Any) -> Optional[str]:
        """The team's option, else everybody's."""
        value = os.environ.get(f"AIRFLOW__{self._team}___{section}__{key}".upper())
        if value is None:
            value = self._deployment.get(f"{self._team}={section}", key, fallback=None)
        return self._deployment.get(section, key, **options) if value is None else value


class BadOptions(ValueError):
    """One line for each option that cannot be."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Checked options. Times in seconds. repr shows no secret."""

    connection: Mapping[str, Any] = dataclasses.field(repr=False)  # arguments of boxkeeper.client.ConnectionSettings
    address: str
    namespace: str
    overrides: Mapping[str, Any]        # keys of SandboxSpec, below those of the task
    python: str
    env: Mapping[str, str] = dataclasses.field(repr=False)
    secret_env: Mapping[str, str] = dataclasses.field(repr=False)
    layout: str
    start_margin: float
    timeout_margin: float
    success_overtime: float
    use_execution_timeout: bool
    adopt_timeout: float
    capacity_interval: float
    events_per_sync: int


class _Reader:
    """Reads options one by one and collects what is wrong."""

    def __init__(self, conf: Configuration) -> None:
        self.conf = conf
        self.mistakes: list[str] = []

    def text(self, key: str, default: str = "", section: str = SECTION) -> str:
        value = self.conf.get(section, key, fallback=None)
        return default if value is None or str(value).strip() == "" else str(value).strip()

    def parsed(self, key: str, default: Any, parse: Callable[[str], Any], allowed: str) -> Any:
        text = self.text(key)
        if not text:
            return default
        try:
            return parse(text)
        except (ValueError, TypeError):
            self.mistakes.append(f"[{SECTION}] {key}: {allowed}, not {text!r}")
            return default

    def number(self, key: str, default: float, least: float, most: float) -> float:
        def parse(text: str) -> float:
            value = float(text)
            if not least <= value <= most:
                raise ValueError
            return value

        return float(self.parsed(key, default, parse, f"a number from {least:g} to {most:g}"))

    def truth(self, key: str, default: bool) -> bool:
        words = {"true": True, "t": True, "1": True, "yes": True, "on": True,
                 "false": False, "f": False, "0": False, "no": False, "off": False}
        return bool(self.parsed(key, default, lambda text: _known(words, text.lower()), "true or false"))

    def mapping(self, key: str) -> dict[str, Any]:
        """A JSON object. Its text is not shown: it may hold what is nobody's business."""
        text = self.text(key)
        try:
            value = json.loads(text) if text else {}
        except ValueError as error:
            self.mistakes.append(f"[{SECTION}] {key}: a JSON object is wanted ({error})")
            return {}
        if not isinstance(value, dict):
            self.mistakes.append(f"[{SECTION}] {key}: a JSON object is wanted, not {type(value).__name__}")
            return {}
        return value

    def variables(self, key: str) -> dict[str, str]:
        """The variables of this process's environment that a comma separated list names; those not set are left out."""
        names = [name.strip() for name in self.text(key).split(",") if name.strip()]
        bad = [name for name in names if not _ENV_NAME.fullmatch(name)]
        if bad:
            self.mistakes.append(f"[{SECTION}] {key}: names of environment variables, separated by commas, not {bad}")
        return {name: os.environ[name] for name in names if name in os.environ}


def _known(words: Mapping[str, bool], word: str) -> bool:
    if word not in words:
        raise ValueError(word)
    return words[word]


def read_connection(conf: Configuration) -> dict[str, Any]:
    """Arguments of boxkeeper.client.ConnectionSettings. BadOptions."""
    reader = _Reader(conf)
    connection = _connection(reader)
    if reader.mistakes:
        raise BadOptions("\n".join(reader.mistakes))
    return connection


def _connection(reader: _Reader) -> dict[str, Any]:
    from boxkeeper.client.errors import InvalidSettings
    from boxkeeper.client.settings import ConnectionSettings

    connection: dict[str, Any] = {
        "address": reader.text("address", "127.0.0.1:7433"),
        "tls": reader.truth("tls", False),
        "ca_file": reader.text("ca_file"),
        "cert_file": reader.text("cert_file"),
        "key_file": reader.text("key_file"),
        "token": reader.text("token"),
        "token_file": reader.text("token_file"),
        "timeout": reader.number("timeout", 10.0, 0.1, 300.0),
    }
    try:
        ConnectionSettings(**connection).check()
    except InvalidSettings as error:
        reader.mistakes.append(f"[{SECTION}] {error}")
    return connection


def read_options(conf: Configuration) -> Options:
    """All options. BadOptions with one line for each mistake."""
    reader = _Reader(conf)
    layout = reader.text("log_layout", "airflow")
    if layout not in LAYOUTS:
        reader.mistakes.append(f"[{SECTION}] log_layout: one of {', '.join(LAYOUTS)}, not {layout!r}")
    connection = _connection(reader)
    overrides = _overrides(reader)
    env = {**_environment(reader, layout), **reader.variables("pass_env"), **_texts(reader, "env")}
    options = Options(
        connection=connection,
        address=connection["address"],
        namespace=reader.text("namespace", "airflow"),
        overrides=overrides,
        python=reader.text("python", "python"),
        env=env,
        secret_env=reader.variables("secret_env"),
        layout=layout,
        start_margin=reader.number("start_margin", 30.0, 0.0, 3600.0),
        timeout_margin=reader.number("timeout_margin", 60.0, 0.0, 86400.0),
        success_overtime=float(reader.text("task_success_overtime", "20", section="core")),
        use_execution_timeout=reader.truth("use_execution_timeout", True),
        adopt_timeout=reader.number("adopt_timeout", 5.0, 0.1, 60.0),
        capacity_interval=reader.number("capacity_interval", 2.0, 0.1, 300.0),
        events_per_sync=int(reader.number("events_per_sync", 1000, 1, 100_000)),
    )
    if reader.mistakes:
        raise BadOptions("\n".join(reader.mistakes))
    return options


def _overrides(reader: _Reader) -> dict[str, Any]:
    """`overrides`, with the short forms `provider` and `profile` on top."""
    overrides = reader.mapping("overrides")
    providers = [name.strip() for name in reader.text("provider").split(",") if name.strip()]
    if providers:
        overrides["provider"] = providers if len(providers) > 1 else providers[0]
    if reader.text("profile"):
        overrides["profile"] = reader.text("profile")
    return overrides


def _texts(reader: _Reader, key: str) -> dict[str, str]:
    values = reader.mapping(key)
    bad = [name for name, value in values.items() if not isinstance(value, str)]
    if bad:
        reader.mistakes.append(f"[{SECTION}] {key}: values must be texts: {', '.join(sorted(bad))}")
    return {name: value for name, value in values.items() if isinstance(value, str)}


def execution_api_url(conf: Configuration) -> str:
    """Where a worker finds the execution API, by Airflow's own rule."""
    base = str(conf.get("api", "base_url", fallback="/") or "/")
    if base.startswith("/"):
        base = f"http://localhost:8080{base}"
    default = f"{base.rstrip('/')}/execution/"
    return str(conf.get("core", "execution_api_server_url", fallback=None) or default)


def _environment(reader: _Reader, layout: str) -> dict[str, str]:
    """What the workload runner must know: neither the database nor the key that signs tokens."""
    conf = reader.conf
    env = {
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": reader.text("execution_api_server_url") or execution_api_url(conf),
        "AIRFLOW_IS_EXECUTOR_CONTAINER": "true",
        # Relative, so below the sandbox's working directory: it goes with the sandbox, and no api-server reads it beside
        # what the daemon stores.
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": reader.text("base_log_folder", "airflow-logs"),
    }
    home = reader.text("airflow_home", os.environ.get("AIRFLOW_HOME", ""))
    if home and home != "none":
        env["AIRFLOW_HOME"] = home
    for section, key in _WORKER_OPTIONS:
        _pass(env, conf, section, key)
    if layout == "airflow":
        env["AIRFLOW__LOGGING__REMOTE_LOGGING"] = "False"  # one writer per log: the daemon
    else:
        for key in _REMOTE_LOG_OPTIONS:
            _pass(env, conf, "logging", key)
    return env


def _pass(env: dict[str, str], conf: Configuration, section: str, key: str) -> None:
    """Adds an option that is not at its default."""
    value = conf.get(section, key, fallback=None)
    if value is None:
        return
    default = _default(section, key)
    if default is None or str(value) != default:
        env[f"AIRFLOW__{section.upper()}__{key.upper()}"] = str(value)


def _default(section: str, key: str) -> Optional[str]:
    from airflow.configuration import conf

    try:
        value = conf.get_default_value(section, key, raw=True)
    except Exception:  # the method differs between versions: then the option is passed
        return None
    return None if value is None else str(value)
