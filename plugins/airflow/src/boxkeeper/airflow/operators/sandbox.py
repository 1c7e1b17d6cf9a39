"""SandboxOperator: one command in a sandbox, from an Airflow with an ordinary executor. docs/airflow.md has every argument."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Optional, Union

from airflow.sdk import BaseOperator

from boxkeeper.airflow.commands import outcome, reconnect, results
from boxkeeper.airflow.commands.arguments import SPEC_ARGUMENTS, check_arguments, merge_override, skip_codes
from boxkeeper.airflow.commands.compat import AirflowException, AirflowTaskTimeout, conf
from boxkeeper.airflow.commands.connect import cancel_within, open_client
from boxkeeper.airflow.commands.files import restore_newlines, texts_with_newline
from boxkeeper.airflow.commands.follow import LogFollower
from boxkeeper.airflow.commands.identity import Execution
from boxkeeper.airflow.commands.lease import LeaseKeeper, lease_seconds
from boxkeeper.airflow.commands.secrets import SecretResolver, SecretSource
from boxkeeper.airflow.commands.submission import CommandOptions, Timeout, build
from boxkeeper.airflow.commands.submitting import submit_patiently

if TYPE_CHECKING:
    from airflow.sdk import Context

    from boxkeeper.airflow.commands.files import FileSource
    from boxkeeper.client import Client
    from boxkeeper.v1 import task_pb2

KILL_SECONDS = 4.0  # Airflow sends SIGKILL 5 s after SIGTERM


@dataclasses.dataclass
class _Run:
    """The task at the daemon that this try watches. `adopted`: it is an earlier try's; `ended`: there is nothing to wait for."""

    id: str
    adopted: bool
    lease: float
    ended: bool = False


class SandboxOperator(BaseOperator):
    """Runs one command in a sandbox of a Boxkeeper daemon; its output is this task's log, live.

    Give exactly one of `command` (a text for /bin/sh -c, or a list: a program and its arguments) and `script` (a whole script,
    of `script_lang` sh, bash or python). A try that comes after a crash of the worker takes over the sandbox of the earlier one.
    """

    template_fields: Sequence[str] = ("command", "script", *SPEC_ARGUMENTS, "files", "sandbox_override", "xcom_file", "outputs_dir")
    template_fields_renderers: ClassVar[dict[str, str]] = {"command": "bash", "env": "json", "sandbox_override": "json",
                                                           "files": "json"}
    ui_color = "#e8f1ff"

    def __init__(
        self,
        *,
        command: Union[str, Sequence[str], None] = None,
        script: Optional[str] = None,
        script_lang: str = "sh",
        image: Optional[str] = None,
        template: Optional[str] = None,
        provider: Union[str, Sequence[str], None] = None,
        profile: Optional[str] = None,
        cpu: Optional[float] = None,
        memory_mb: Optional[int] = None,
        disk_mb: Optional[int] = None,
        network: Optional[str] = None,
        env: Optional[Mapping[str, str]] = None,
        workdir: Optional[str] = None,
        timeout: Optional[Timeout] = None,
        outputs: Optional[Sequence[str]] = None,
        outputs_dir: Optional[str] = None,
        sandbox_override: Optional[Mapping[str, Any]] = None,
        files: Optional[Mapping[str, FileSource]] = None,
        secrets: Optional[Mapping[str, SecretSource]] = None,
        secret_files: Optional[Mapping[str, SecretSource]] = None,
        xcom_file: Optional[str] = None,
        xcom_format: str = "auto",
        xcom_max_bytes: int = 1 << 20,
        skip_on_exit_code: Union[int, Collection[int], None] = None,
        reconnect: bool = True,
        lease: Optional[Timeout] = None,
        deferrable: Optional[bool] = None,
        boxkeeper_conn_id: str = "boxkeeper_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.command = command
        self.script = script
        self.script_lang = script_lang
        self.image = image
        self.template = template
        self.provider = provider
        self.profile = profile
        self.cpu = cpu
        self.memory_mb = memory_mb
        self.disk_mb = disk_mb
        self.network = network
        self.env = env
        self.workdir = workdir
        self.timeout = timeout
        self.outputs = outputs
        self.outputs_dir = outputs_dir
        self.sandbox_override = sandbox_override
        self.files = files
        self.secrets = secrets
        self.secret_files = secret_files
        self.xcom_file = xcom_file
        self.xcom_format = xcom_format
        self.xcom_max_bytes = xcom_max_bytes
        self.skip_on_exit_code = skip_on_exit_code
        self.reconnect = reconnect
        self.lease = lease
        self.deferrable = conf.getboolean("operators", "default_deferrable", fallback=False) if deferrable is None else deferrable
        self.boxkeeper_conn_id = boxkeeper_conn_id
        self._watched: Optional[tuple[Any, str, Any]] = None  # settings, task id, key: what on_kill cancels
        self._killed = False
        self._newlines = texts_with_newline(files)
        self._resolver: Optional[SecretResolver] = None
        check_arguments(self)

    # What Airflow calls

    def execute(self, context: Context) -> Any:
        """Runs the command, or takes over an earlier try's. Returns what is pushed as XCom."""
        with open_client(self.boxkeeper_conn_id) as client:
            return self._go(client, context, None)

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> Any:
        """The trigger saw the end of the command: prints its log and returns what is pushed as XCom."""
        run = _Run(event["task_id"], event["adopted"], event["lease"])
        with open_client(self.boxkeeper_conn_id) as client:
            if event["status"] == "error":
                raise AirflowException(f"the trigger could not wait for the sandbox of task {run.id}: {event['message']}")
            return self._go(client, context, run, timed_out=event["status"] == "timeout")

    def on_kill(self) -> None:
        """Cancels the sandbox. Airflow calls it from a signal handler, in the middle of anything: the work is done by a thread
        with a connection of its own."""
        self._killed = True
        if self._watched is None:
            return
        settings, task_id, key = self._watched
        worker = threading.Thread(target=cancel_within, args=(KILL_SECONDS, settings, task_id, key), daemon=True)
        worker.start()
        worker.join(KILL_SECONDS)

    # The command's way

    def _go(self, client: Client, context: Context, run: Optional[_Run], timed_out: bool = False) -> Any:
        execution = Execution.from_context(context, self.retries or 0)
        while True:
            if run is None:
                run = self._begin(client, context, execution)
                if self.deferrable and not run.ended:
                    self._defer(execution, run)
            self._watched = (client.settings, run.id, execution.key())
            task, follower = self._follow(client, run)
            if timed_out and outcome.was_stopped(task):
                raise AirflowTaskTimeout(f"the execution_timeout of {self.execution_timeout} has passed; {outcome.describe(task)}")
            if not (run.adopted and outcome.was_stopped(task)) or self._killed:
                return self._conclude(client, context, execution, task, follower)
            self.log.info("The sandbox of the earlier try was stopped meanwhile: %s. This try runs its own.", outcome.describe(task))
            run = None

    def _begin(self, client: Client, context: Context, execution: Execution) -> _Run:
        from boxkeeper.client import names

        options = self._options(context, execution)
        self._resolver = self._make_resolver(context)
        spec = build(client, execution, options, self._resolver)
        earlier = reconnect.find_earlier(client, execution, reconnect.digest_of(spec), reconnect=self.reconnect, window=options.lease,
                                         skip_codes=skip_codes(self))
        if earlier is not None:
            self.log.info("Try %d takes over the sandbox of an earlier try, task %s; all of its output follows.",
                          execution.try_number, earlier.id)
            return _Run(earlier.id, True, options.lease, names.is_terminal(earlier))
        self._watched = (client.settings, "", execution.key())
        result = submit_patiently(client, spec, lambda: self._killed)
        self.log.info("Boxkeeper task %s", result.id)
        return _Run(result.id, False, options.lease)

    def _follow(self, client: Client, run: _Run) -> tuple[task_pb2.Task, LogFollower]:
        """Shows the output to its end and waits for the task's. AirflowException if the daemon is gone for too long."""
        from boxkeeper.client import BoxkeeperError, NotFound

        try:
            with LeaseKeeper(client, run.id, run.lease), LogFollower(client, run.id, self._show, self.xcom_max_bytes) as follower:
                follower.run()
                [task] = client.wait([run.id], until="END")
        except NotFound as error:
            raise AirflowException(f"the daemon does not know task {run.id} any more, so nobody can say how it ended: {error}") from None
        except BoxkeeperError as error:
            raise AirflowException(f"lost sight of task {run.id}, which may still run: {error}\n"
                                   "The next try takes it over, if there is one.") from None
        self._watched = None
        return task, follower

    def _conclude(self, client: Client, context: Context, execution: Execution, task: task_pb2.Task, follower: LogFollower) -> Any:
        self.log.info("Sandbox ended: %s", outcome.describe(task))
        try:
            if self.outputs and task.outputs.collected:  # also of a command that failed: they may say why
                self._publish_outputs(client, context, task)
            outcome.raise_for_end(task, skip_codes(self), list(follower.tail))
            return self._result(client, context, task, follower) if self.do_xcom_push else None
        except results.BadResult:
            reconnect.mark_refused(client, execution, task)
            raise

    def _publish_outputs(self, client: Client, context: Context, task: task_pb2.Task) -> None:
        """The outputs that the user asked for: downloaded, if wanted, and listed as XCom `outputs`."""
        artifacts = [artifact for artifact in results.artifacts_of(client, task) if self._is_users(artifact.path)]
        references = [results.reference(task, artifact) for artifact in artifacts]
        if self.outputs_dir:
            local = results.download(client, task, artifacts, self.outputs_dir)
            references = [{**entry, "local_path": local[entry["path"]]} for entry in references]
        if self.do_xcom_push:
            context["ti"].xcom_push(key="outputs", value=references)

    def _result(self, client: Client, context: Context, task: task_pb2.Task, follower: LogFollower) -> Any:
        """What is pushed as XCom."""
        if not self.xcom_file:
            return self._last_line(context, follower.last_line)
        content = results.read_bounded(client, task, self.xcom_file, self.xcom_max_bytes, "xcom_file")
        return results.parse(self.xcom_file, self._redact(context, content.decode("utf-8", "replace")), self.xcom_format)

    # Parts

    def _options(self, context: Context, execution: Execution) -> CommandOptions:
        """Called when the templates are filled in."""
        return CommandOptions(
            argv=None if self.command is None or isinstance(self.command, str) else [str(part) for part in self.command],
            shell=self.command if isinstance(self.command, str) else None,
            script=self.script,
            lang=self.script_lang if self.script is not None else "",
            override=merge_override(self),
            files=restore_newlines(self.files or {}, self._newlines),
            secrets=self.secrets or {},
            secret_files=self.secret_files or {},
            files_folder=self.dag.folder if self.has_dag() else os.getcwd(),
            lease=self._lease_seconds(context),
        )

    def _lease_seconds(self, context: Context) -> float:
        if self.lease is None:
            return lease_seconds(self, context)
        return self.lease.total_seconds() if hasattr(self.lease, "total_seconds") else float(self.lease)

    def _make_resolver(self, context: Context) -> SecretResolver:
        return SecretResolver(lambda text: self.render_template(text, context))

    def _redact(self, context: Context, text: str) -> str:
        if self._resolver is None:  # resumed by another process than the one that submitted
            self._resolver = self._make_resolver(context)
            for name, source in {**(self.secrets or {}), **(self.secret_files or {})}.items():
                if not self._resolver.reference(source)[0]:
                    self._resolver.value(name, source)
        return self._resolver.redact(text)

    def _last_line(self, context: Context, line: bytes) -> Optional[str]:
        if len(line) > self.xcom_max_bytes:
            self.log.warning("The last line of stdout has more than %d bytes (xcom_max_bytes): it is not pushed as XCom.",
                             self.xcom_max_bytes)
            return None
        return self._redact(context, line.decode("utf-8", "replace")) if line else None

    def _is_users(self, path: str) -> bool:
        """Whether an output is one that the user asked for."""
        return path != self.xcom_file or path in (self.outputs or ())

    def _show(self, line: str) -> None:
        self.log.info("%s", line)

    def _defer(self, execution: Execution, run: _Run) -> None:
        from boxkeeper.airflow.triggers.sandbox import SandboxTrigger

        deadline = time.time() + self.execution_timeout.total_seconds() if self.execution_timeout else None
        trigger = SandboxTrigger(task_id=run.id, adopted=run.adopted, lease=run.lease, deadline=deadline,
                                 boxkeeper_conn_id=self.boxkeeper_conn_id, dag_id=execution.dag_id, run_id=execution.run_id,
                                 airflow_task_id=execution.task_id, map_index=execution.map_index)
        self.defer(trigger=trigger, method_name="execute_complete")

