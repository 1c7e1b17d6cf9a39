"""@task.sandbox: a Python function whose source runs in a sandbox."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Optional

from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory

from boxkeeper.airflow.commands import results
from boxkeeper.airflow.commands.identity import Execution
from boxkeeper.airflow.commands.runner import call_json, runner_source
from boxkeeper.airflow.operators.sandbox import SandboxOperator

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.bases.decorator import TaskDecorator

    from boxkeeper.airflow.commands.follow import LogFollower
    from boxkeeper.airflow.commands.submission import CommandOptions
    from boxkeeper.client import Client
    from boxkeeper.v1 import task_pb2

# What a function may ask for by a parameter's name, beside its own arguments; all of it is text, but params.
CONTEXT_KEYS = ("ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz", "run_id", "logical_date", "data_interval_start",
                "data_interval_end", "params")
_FOLDER = ".boxkeeper-"
_UNUSED = "true"  # a command that SandboxOperator sees instead of the function


class _SandboxDecoratedOperator(DecoratedOperator, SandboxOperator):
    """Sends the function's source and its arguments as JSON, and takes what it returned as JSON."""

    template_fields: Sequence[str] = (*DecoratedOperator.template_fields,
                                      *(name for name in SandboxOperator.template_fields if name not in ("command", "script")))
    template_fields_renderers: ClassVar[dict[str, str]] = {**DecoratedOperator.template_fields_renderers,
                                                           "env": "json", "sandbox_override": "json", "files": "json"}
    custom_operator_name: str = "@task.sandbox"

    def __init__(self, *, python_callable: Callable[..., Any], python: str = "python3", op_args: Optional[Collection[Any]] = None,
                 op_kwargs: Optional[Mapping[str, Any]] = None, **kwargs: Any) -> None:
        for name in ("command", "script", "script_lang", "xcom_file", "xcom_format"):
            if name in kwargs:
                raise TypeError(f"@task.sandbox takes no {name}: it runs the function; use SandboxOperator")
        if not inspect.isfunction(python_callable) or python_callable.__name__ == "<lambda>":
            raise TypeError("@task.sandbox needs a function made by def")
        if inspect.isgeneratorfunction(python_callable) or inspect.iscoroutinefunction(python_callable):
            raise TypeError("@task.sandbox: the function must be an ordinary one, without yield or async")
        self.python = python
        super().__init__(python_callable=python_callable, op_args=op_args, op_kwargs=op_kwargs, command=_UNUSED, **kwargs)

    def execute(self, context: Context) -> Any:
        """Past DecoratedOperator's, which looks for assets among arguments, and in 3.0 for a method that this class has not."""
        return SandboxOperator.execute(self, context)

    def _options(self, context: Context, execution: Execution) -> CommandOptions:
        options = super()._options(context, execution)
        folder = _folder(execution)
        call = call_json(self.python_callable, self.op_args, {**self._asked_of_context(context), **self.op_kwargs})
        options.files = {**options.files, f"{folder}/function.py": runner_source(self.python_callable),
                         f"{folder}/call.json": call}
        override = dict(options.override)
        override["outputs"] = [*override.get("outputs", []), f"{folder}/result.json"]
        override["env"] = {"PYTHONUNBUFFERED": "1", **override.get("env", {})}
        options.override = override
        options.shell, options.argv = None, [self.python, f"{folder}/function.py"]
        return options

    def _asked_of_context(self, context: Context) -> dict[str, Any]:
        names = set(inspect.signature(self.python_callable).parameters) - set(self.op_kwargs)
        found = {}
        for name in CONTEXT_KEYS:
            if name in names and context.get(name) is not None:
                value = context[name]  # type: ignore[literal-required]
                found[name] = value.dump() if hasattr(value, "dump") else value
        return found

    def _result(self, client: Client, context: Context, task: task_pb2.Task, follower: LogFollower) -> Any:
        path = f"{_folder(Execution.from_context(context))}/result.json"
        content = results.read_bounded(client, task, path, self.xcom_max_bytes, "what the function returned, in")
        return results.parse(path, self._redact(context, content.decode("utf-8", "replace")), "json")

    def _is_users(self, path: str) -> bool:
        return not path.startswith(_FOLDER)


def _folder(execution: Execution) -> str:
    """Below the working directory, which task instances may share; the same for each try."""
    return _FOLDER + hashlib.sha256(execution.key_prefix().encode("utf-8")).hexdigest()[:12]


def sandbox_task(python_callable: Optional[Callable[..., Any]] = None, multiple_outputs: Optional[bool] = None,
                 **kwargs: Any) -> TaskDecorator:
    """Makes a function a task whose source runs in a sandbox; `kwargs` are those of SandboxOperator, and `python`, the interpreter
    in the sandbox. The function imports what it needs itself; arguments and the returned value travel as JSON."""
    return task_decorator_factory(python_callable=python_callable, multiple_outputs=multiple_outputs,
                                  decorated_operator_class=_SandboxDecoratedOperator, **kwargs)
