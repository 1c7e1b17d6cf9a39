"""What Airflow's providers manager is told about this package."""

from __future__ import annotations

from typing import Any

from boxkeeper.airflow.hooks import connection_form
from boxkeeper.airflow.options import config_section

_INTEGRATION = "Boxkeeper"


def _modules(*names: str) -> list[dict[str, Any]]:
    return [{"integration-name": _INTEGRATION, "python-modules": [f"boxkeeper.airflow.{name}" for name in names]}]


def get_provider_info() -> dict[str, Any]:
    """The entry point `apache_airflow_provider`. Every Airflow process calls it: nothing heavy is imported."""
    return {
        "package-name": "airflow-provider-boxkeeper",
        "name": "Boxkeeper",
        "description": "Tasks in sandboxes of a boxkeeperd: SandboxExecutor, SandboxOperator, @task.sandbox.",
        "integrations": [{"integration-name": _INTEGRATION, "tags": ["software"]}],
        "executors": ["boxkeeper.airflow.executors.sandbox_executor.SandboxExecutor"],
        "hooks": _modules("hooks.sandbox"),
        "operators": _modules("operators.sandbox"),
        "triggers": _modules("triggers.sandbox"),
        "task-decorators": [{"class-name": "boxkeeper.airflow.decorators.sandbox.sandbox_task", "name": "sandbox"}],
        "connection-types": [
            {
                "connection-type": connection_form.CONN_TYPE,
                "hook-class-name": "boxkeeper.airflow.hooks.sandbox.SandboxHook",
                "hook-name": connection_form.HOOK_NAME,
                # Airflow 3.2 and later; earlier ones ask the hook.
                "conn-fields": connection_form.conn_fields(),
                "ui-field-behaviour": connection_form.ui_field_behaviour(),
            }
        ],
        "cli": ["boxkeeper.airflow.cli.definition.get_cli_commands"],
        "config": config_section(),
    }
