"""What the command line of Airflow is told. Every `airflow` command calls it: nothing is imported that the commands need."""

from __future__ import annotations

from typing import Any


def get_cli_commands() -> list[Any]:
    """The group `airflow boxkeeper`."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

    validate_only = Arg(("--validate-only",), help="Run nothing: ask the daemon whether it would take the task", action="store_true")
    check = ActionCommand(
        name="check",
        help="Checks the configuration of boxkeeper by running one small sandbox",
        description="Reads the configuration of boxkeeper, asks the daemon, and runs a sandbox as SandboxExecutor would: is Airflow in "
                    "there, and does it reach the execution API? Exit code 1 and the reason if not.",
        func=lazy_load_command("boxkeeper.airflow.cli.check.check"),
        args=(validate_only,),
    )
    return [GroupCommand(name="boxkeeper", help="Sandboxes of boxkeeperd", subcommands=[check])]
