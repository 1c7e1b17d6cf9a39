"""The program that runs one Python function in a sandbox, where there is no Airflow, and what it is given."""

from __future__ import annotations

import ast
import datetime
import inspect
import json
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from boxkeeper.airflow.commands.compat import AirflowFailException

_PROGRAM = '''\
from __future__ import annotations
import json as _json, os as _os, sys as _sys


{source}

def _boxkeeper_main():
    folder = _os.path.dirname(_os.path.abspath(__file__))
    with open(_os.path.join(folder, "call.json"), encoding="utf-8") as file:
        call = _json.load(file)
    value = {name}(*call["args"], **call["kwargs"])
    try:
        text = _json.dumps(value)
    except (TypeError, ValueError) as error:
        _sys.exit("@task.sandbox: what {name} returned is no JSON: %s" % error)
    path = _os.path.join(folder, "result.json")
    with open(path + ".partial", "w", encoding="utf-8") as file:
        file.write(text)
    _os.replace(path + ".partial", path)


if __name__ == "__main__":
    _boxkeeper_main()
'''


def runner_source(function: Callable[..., Any]) -> str:
    """A program that calls the function and writes what it returns. Runs on Python 3.7 and later."""
    return _PROGRAM.format(source=function_source(function), name=function.__name__)


def function_source(function: Callable[..., Any]) -> str:
    """The function's source without its decorators, whose names mean nothing in the sandbox. AirflowFailException if there is
    none to be found."""
    try:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
        definition = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    except (OSError, SyntaxError, StopIteration) as error:
        raise AirflowFailException(f"@task.sandbox needs the source of {function.__name__}: {error}") from None
    lines = source.splitlines()[definition.lineno - 1:definition.end_lineno]
    return "\n".join(lines) + "\n"


def call_json(function: Callable[..., Any], args: Collection[Any], kwargs: Mapping[str, Any]) -> str:
    """The arguments of one call. AirflowFailException that names each argument that is no JSON; dates become ISO texts."""
    bad = [f"argument {index}" for index, value in enumerate(args) if not _is_json(value)]
    bad += [repr(name) for name, value in kwargs.items() if not _is_json(value)]
    if bad:
        raise AirflowFailException(f"@task.sandbox {function.__name__}: arguments travel as JSON, and these are none: {', '.join(bad)}")
    return json.dumps({"args": list(args), "kwargs": dict(kwargs)}, default=_plain)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, default=_plain)
    except (TypeError, ValueError):
        return False
    return True


def _plain(value: Any) -> Any:
    """What Airflow hands to tasks instead of plain values: lazy proxies, lazy sequences of XComs, dates."""
    if hasattr(value, "__wrapped__"):
        return value.__wrapped__
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return list(value)
    raise TypeError(type(value).__name__)
