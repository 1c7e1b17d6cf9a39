"""The arguments of SandboxOperator that are keys of a sandbox, and what can be checked of them when a DAG is parsed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from boxkeeper.airflow.commands import results
from boxkeeper.airflow.commands.compat import AirflowFailException
from boxkeeper.airflow.commands.files import check_file
from boxkeeper.airflow.commands.secrets import check_source
from boxkeeper.airflow.commands.submission import duration

# Each is the key of the same name of sandbox_override. The daemon checks their values.
SPEC_ARGUMENTS = ("image", "template", "provider", "profile", "cpu", "memory_mb", "disk_mb", "network", "env", "workdir", "timeout",
                  "outputs")
_SCRIPT_LANGUAGES = ("sh", "bash", "python")


def check_arguments(operator: Any) -> None:
    """ValueError for what cannot work whatever the templates give."""
    if (operator.command is None) == (operator.script is None):
        raise ValueError("give exactly one of command and script")
    if operator.script is not None and operator.script_lang not in _SCRIPT_LANGUAGES:
        raise ValueError(f"script_lang: {operator.script_lang!r} is none of {', '.join(_SCRIPT_LANGUAGES)}")
    if operator.xcom_format not in results.FORMATS:
        raise ValueError(f"xcom_format: {operator.xcom_format!r} is none of {', '.join(results.FORMATS)}")
    if operator.outputs_dir and not operator.outputs:
        raise ValueError("outputs_dir: there are no outputs to write there")
    if isinstance(operator.outputs, str):
        raise ValueError("outputs: a list of paths, not one text")
    for argument in ("secrets", "secret_files"):
        sources = getattr(operator, argument) or {}
        if not isinstance(sources, Mapping):
            raise ValueError(f"{argument}: a map is needed; what comes from another task by XCom is no secret")
        for name, source in sources.items():
            check_source(f"{argument}[{name!r}]", source)
    if isinstance(operator.files, Mapping):
        for path, source in operator.files.items():
            check_file(path, source)
    if isinstance(operator.sandbox_override, Mapping):
        _check_twice(operator, operator.sandbox_override)


def merge_override(operator: Any) -> dict[str, Any]:
    """The whole sandbox_override, templates filled in. AirflowFailException for a key that is given twice."""
    override = operator.sandbox_override or {}
    if not isinstance(override, Mapping):
        raise AirflowFailException(f"sandbox_override: a map is needed, not {type(override).__name__}")
    try:
        _check_twice(operator, override)
    except ValueError as error:
        raise AirflowFailException(str(error)) from None
    missing = sorted(name for name, value in (operator.env or {}).items() if value is None)
    if missing:
        raise AirflowFailException(f"env: no value for {', '.join(missing)}")
    merged = dict(override)
    for name in SPEC_ARGUMENTS:
        value = getattr(operator, name)
        if value is not None:
            merged[name] = _plain(name, value)
    if operator.xcom_file and operator.xcom_file not in merged.get("outputs", []):
        merged["outputs"] = [*merged.get("outputs", []), operator.xcom_file]
    return merged


def skip_codes(operator: Any) -> Collection[int]:
    """Exit codes that mean: skip."""
    codes = operator.skip_on_exit_code
    if codes is None:
        return frozenset()
    return frozenset([codes]) if isinstance(codes, int) else frozenset(codes)


def _check_twice(operator: Any, override: Mapping[str, Any]) -> None:
    twice = [name for name in SPEC_ARGUMENTS if name in override and getattr(operator, name) is not None]
    if twice:
        raise ValueError(f"given twice, as argument and in sandbox_override: {', '.join(twice)}")


def _plain(name: str, value: Any) -> Any:
    """As the daemon's strict reader wants it."""
    if name == "timeout":
        return duration(value)
    if name == "env":
        return {str(key): str(item) for key, item in value.items()}
    if name in ("cpu", "memory_mb", "disk_mb") and isinstance(value, str):  # from a template
        return float(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    return value
