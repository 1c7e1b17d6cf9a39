"""What Airflow's providers manager is told about this package."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The entry point `apache_airflow_provider`."""
    return {
        "package-name": "airflow-provider-boxkeeper",
        "name": "Boxkeeper",
        "description": "Tasks in sandboxes of a boxkeeperd.",
    }
