"""Every option of Airflow's section [boxkeeper]: what `airflow config list`, the documentation and the environment know.

Read and checked in executors/config.py; a test holds the two together.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

SECTION = "boxkeeper"
DESCRIPTION = "SandboxExecutor: where the boxkeeperd is, and what the sandboxes of tasks are like."


class Option(NamedTuple):
    """`type` is one of string, boolean, integer, float; `default` as text, None = unset."""

    description: str
    type: str = "string"
    default: Optional[str] = None
    example: Optional[str] = None
    sensitive: bool = False


OPTIONS: dict[str, Option] = {
    "address": Option("The daemon: HOST:PORT, HOST or unix:/PATH.", default="127.0.0.1:7433", example="boxkeeper.example.com:7433"),
    "tls": Option("Speak TLS; ca_file implies it.", "boolean", "False"),
    "ca_file": Option("PEM certificates that the daemon's is checked against; empty with tls: the system's.",
                      example="/etc/boxkeeper/ca.pem"),
    "cert_file": Option("Own certificate (PEM), where the daemon asks for one.", example="/etc/boxkeeper/airflow.pem"),
    "key_file": Option("Its private key (PEM).", example="/etc/boxkeeper/airflow.key"),
    "token": Option("Bearer token, where the daemon asks for one. Better in token_file, or by token_cmd or token_secret.",
                    sensitive=True),
    "token_file": Option("File with the bearer token, instead of token; read again for each call.", example="/run/secrets/boxkeeper"),
    "timeout": Option("Seconds that a call to the daemon may take, 0.1 to 300.", "float", "10"),
    "namespace": Option("Namespace of the tasks' keys: one for each Airflow deployment that shares a daemon.", default="airflow"),
    "provider": Option("Provider, or providers in order of preference separated by commas, for tasks that choose none; "
                       "unset: the daemon's default_provider.", example="dock,local"),
    "profile": Option("Profile of the daemon's configuration for tasks that choose none.", example="airflow"),
    "overrides": Option("JSON object with keys of the sandbox for every task, below those of the task's own sandbox_override.",
                        example='{"image": "registry/airflow:3", "memory_mb": 2048}'),
    "python": Option("The Python with Airflow inside the sandbox.", default="python", example="/opt/airflow/bin/python"),
    "env": Option("JSON object with environment variables of every task. Not for secrets.", example='{"TZ": "UTC"}'),
    "pass_env": Option("Variables of the scheduler's environment that every task gets, separated by commas. Not for secrets.",
                       example="PYTHONPATH,TZ"),
    "secret_env": Option("Variables of the scheduler's environment that every task gets as secrets, separated by commas: sealed in "
                         "the daemon's store and erased at the end.", example="AIRFLOW_CONN_AWS_DEFAULT"),
    "execution_api_server_url": Option("Where sandboxes find the execution API; unset: [core] execution_api_server_url, or "
                                       "[api] base_url with /execution/.", example="http://airflow.internal:8080/execution/"),
    "airflow_home": Option("AIRFLOW_HOME inside the sandbox; unset: the scheduler's; none: not set.", example="/opt/airflow"),
    "base_log_folder": Option("[logging] base_log_folder inside the sandbox; relative to its working directory.",
                              default="airflow-logs"),
    "log_layout": Option("Who writes the tasks' logs to remote storage. airflow: the daemon, while they run, in the layout that "
                         "Airflow reads; remote logging is off inside the sandbox. plain: the task itself at its end, as with other "
                         "executors.", default="airflow"),
    "start_margin": Option("Seconds before its token expires after which a queued task is not started any more, 0 to 3600.",
                           "float", "30"),
    "timeout_margin": Option("Seconds that the sandbox may run beyond execution_timeout and [core] task_success_overtime, "
                             "0 to 86400.", "float", "60"),
    "use_execution_timeout": Option("Whether the sandbox of a task with an execution_timeout has a timeout, too.", "boolean", "True"),
    "adopt_timeout": Option("Seconds that adopting tasks may hold up the scheduler's loop, 0.1 to 60.", "float", "5"),
    "capacity_interval": Option("Seconds between two looks at the daemon's free slots, 0.1 to 300.", "float", "2"),
    "events_per_sync": Option("Events handled in one turn of the scheduler's loop at most, 1 to 100000.", "integer", "1000"),
}


def config_section() -> dict[str, Any]:
    """The section as the provider info's `config`."""
    options = {
        name: {"description": option.description + "\n", "version_added": "0.1.0", "type": option.type, "example": option.example,
               "default": option.default, "sensitive": option.sensitive}
        for name, option in OPTIONS.items()
    }
    return {SECTION: {"description": DESCRIPTION + "\n", "options": options}}
