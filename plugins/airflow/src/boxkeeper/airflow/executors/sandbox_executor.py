"""Airflow's executor that runs each task instance in a sandbox of a Boxkeeper daemon.

    [core]
    executor = boxkeeper.airflow.executors.sandbox_executor.SandboxExecutor

Airflow-facing and thin: what talks to the daemon is the courier, what things mean is in task_spec.py and outcomes.py.
Everything here runs in the scheduler's thread, except get_task_log, which the api-server calls.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import time
import uuid
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

from airflow.executors import workloads
from airflow.executors.base_executor import BaseExecutor
from airflow.utils.state import TaskInstanceState

from boxkeeper.airflow.executors import outcomes
from boxkeeper.airflow.executors.config import Configuration, Layered, Options, read_options
from boxkeeper.airflow.executors.courier import AdoptedLate, Answered, Courier, Happened, News, Submission
from boxkeeper.airflow.executors.execution_timeouts import ExecutionTimeouts
from boxkeeper.airflow.executors.jobs import is_task, job_of, key_of, state_of, submission_id_of
from boxkeeper.airflow.executors.keys import Namespace, to_airflow
from boxkeeper.airflow.executors.outcomes import Adoption, Outcome, Verdict
from boxkeeper.airflow.executors.slots import Slots
from boxkeeper.airflow.executors.task_spec import BadOverride, make_task_spec

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.taskinstancekey import TaskInstanceKey
    from sqlalchemy.orm import Session

    from boxkeeper.v1 import executor_pb2, task_pb2

_REVOKED_MAX = 10_000  # keys remembered whose next task replaces what may still live
_EVENTS_KEPT = 1000    # task events that the scheduler may store at once
_EVENT_REJECTED = "sandbox rejected"
_EVENT_ENDED = "sandbox failed"
_EVENT_EXPIRED = "sandbox expired"
_EVENT_UNKNOWN = "sandbox unknown"


@dataclasses.dataclass
class _Live:
    """One execution that the daemon has, or is being handed."""

    key: Any
    submission_id: str
    workload: Any = dataclasses.field(default=None, repr=False)  # until the daemon has taken it; has the token
    task_id: str = ""


@dataclasses.dataclass(frozen=True)
class _Queued:
    """What queue_workload learned of a workload."""

    workload: Any = dataclasses.field(repr=False)
    submission_id: str
    execution_timeout: Optional[float]


class SandboxExecutor(BaseExecutor):
    """Runs workloads in sandboxes. Never blocks the scheduler loop; a daemon that is down delays tasks and loses none."""

    is_local = False
    is_production = True
    serve_logs = False
    sentry_integration = ""
    supports_ad_hoc_ti_run = False
    supports_multi_team = True
    supports_callbacks = hasattr(workloads, "ExecuteCallback")
    supports_connection_test = False
    # The id of an enqueueing is our submission id: after a crash it tells whether the daemon was given this very one.
    pre_assigns_external_executor_id = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._options: Optional[Options] = None
        self._courier: Optional[Courier] = None
        self._timeouts = ExecutionTimeouts()
        self._facts: dict[Any, _Queued] = {}
        self._live: dict[Any, _Live] = {}
        self._by_submission: dict[str, _Live] = {}
        self._adopting: dict[TaskInstanceKey, dict[str, Any]] = {}
        self._revoked: dict[Any, None] = {}
        self._event_records: deque[Any] = deque(maxlen=_EVENTS_KEPT)
        self._telling = False  # the daemon has spoken: a FAILED needs no cancel
        self._blocked_until = 0.0
        self._cursor = ""      # of the last event applied, to be acknowledged by the next sync
        self._slots = Slots()

    # ---- life ----

    def start(self) -> None:
        """Reads [boxkeeper] (BadOptions, with every mistake) and starts the courier. Does not wait for the daemon."""
        self._options = read_options(self._configuration())
        self._courier = self._make_courier(self._options)
        self._courier.start()
        self.log.info("SandboxExecutor: daemon %s, owner %s, log layout %s", self._options.address, self._courier.owner,
                      self._options.layout)

    def _make_courier(self, options: Options) -> Courier:
        return Courier(options.connection, self._owner_of(options.namespace, self.job_id), capacity_interval=options.capacity_interval,
                       call_timeout=float(options.connection["timeout"]))

    def _owner_of(self, namespace: str, job_id: Any) -> str:
        """One event stream for each scheduler job, team and process."""
        team = getattr(self, "team_name", None)
        job = job_id if job_id is not None else f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        return f"airflow:{namespace}:{job}" + (f":{team}" if team else "")

    def _configuration(self) -> Configuration:
        """Airflow's configuration as this executor's team sees it."""
        from airflow.configuration import conf

        team = getattr(self, "team_name", None)
        return Layered(team, conf) if team else conf

    @staticmethod
    def get_cli_commands() -> list[Any]:
        """`airflow boxkeeper ...`, where this executor is configured: for Airflow before 3.2; later ones ask the provider info."""
        from boxkeeper.airflow.cli.definition import get_cli_commands

        return get_cli_commands()

    def end(self) -> None:
        """Stops the courier. Tasks run on; the next scheduler adopts them."""
        if self._courier is None:
            return
        try:
            if self._cursor:
                self._courier.ack(self._cursor)
        except Exception:
            self.log.exception("boxkeeper: the last acknowledgement")
        self._courier.stop()

    def terminate(self) -> None:
        """As end()."""
        self.end()

    def debug_dump(self) -> None:
        """Keys and the courier's state. Not what the base tells: before 3.2 that has the tokens of what is queued."""
        queued = [*self.queued_tasks, *getattr(self, "queued_callbacks", ())]
        for name, keys in (("queued", queued), ("running", self.running), ("event_buffer", self.event_buffer), ("adopting", self._adopting)):
            self.log.info("executor.%s (%d)\n\t%s", name, len(keys), "\n\t".join(map(repr, keys)))
        self.log.info("executor.sandbox: live=%d limit=%d courier: %s", len(self._live), self._limit(),
                      self._courier.describe() if self._courier else "not started")

    # ---- work in ----

    def queue_workload(self, workload: Any, session: Optional[Session]) -> None:
        """Takes a workload from the scheduler. One whose key still runs here is its successor (deferred, rescheduled):
        the daemon starts it when the predecessor is gone, whose events are nobody's business any more."""
        key = key_of(workload)
        if key is None:
            raise ValueError(f"Un-handled workload type {type(workload).__name__!r} in {type(self).__name__}")
        self._forget(key)
        timeout = None
        if isinstance(workload, workloads.ExecuteTask):
            if session is not None and self._options is not None and self._options.use_execution_timeout:
                timeout = self._timeouts.seconds(workload.ti, session)
            self.queued_tasks[key] = workload
        else:
            self.queued_callbacks[key] = workload
        self._facts[key] = _Queued(workload, submission_id_of(workload), timeout)

    def order_queued_tasks_by_priority(self) -> list[tuple[TaskInstanceKey, Any]]:
        """Highest priority_weight first, in every version."""
        return sorted(self.queued_tasks.items(), key=lambda item: item[1].ti.priority_weight, reverse=True)

    def trigger_tasks(self, open_slots: int) -> None:
        """Hands over what the daemon has room for."""
        room = min(open_slots, self._limit() - len(self.running))
        if time.monotonic() < self._blocked_until:
            room = 0
        super().trigger_tasks(max(0, room))

    def _process_workloads(self, workload_list: Sequence[Any]) -> None:
        batch = []
        for workload in workload_list:
            key = key_of(workload)
            self.queued_tasks.pop(key, None)
            getattr(self, "queued_callbacks", {}).pop(key, None)
            self.running.add(key)
            submission = self._submission(key, workload)
            if submission is not None:
                batch.append(submission)
        if batch and self._courier is not None:
            self._courier.submit(batch)

    def _submission(self, key: Any, workload: Any) -> Optional[Submission]:
        """What the courier carries; None: it cannot be, and has failed."""
        assert self._options is not None and self._courier is not None
        facts = self._facts.pop(key, None) or _Queued(workload, submission_id_of(workload), None)
        try:
            job = job_of(workload, Namespace(self._options.namespace), facts.submission_id, facts.execution_timeout,
                         replace=key in self._revoked, printing=self._options.layout == "airflow")
            spec = make_task_spec(job, self._options, self._courier.owner)
        except BadOverride as error:
            self._reject(key, str(error))
            return None
        except Exception as error:
            self.log.exception("boxkeeper: no submission can be made of %s", key)
            self._reject(key, f"{type(error).__name__}: {error}")
            return None
        self._revoked.pop(key, None)
        self._remember(_Live(key, facts.submission_id, facts))
        return Submission(facts.submission_id, spec)

    def _reject(self, key: Any, text: str) -> None:
        self._tell_fail(key, f"the sandbox was refused: {text}", _EVENT_REJECTED)

    # ---- news ----

    def sync(self) -> None:
        """Applies what the daemon said; acknowledges what the sync before has applied and the scheduler has seen."""
        if self._courier is None:
            return
        try:
            if self._cursor:
                self._courier.ack(self._cursor)
                self._cursor = ""
            self._slots.look(self._courier.capacity, len(self._live))
            assert self._options is not None
            news = self._courier.news(self._options.events_per_sync)
        except Exception:
            self.log.exception("boxkeeper: sync")
            return
        for item in news:
            try:
                self._apply(item)
            except Exception:  # the others are not to be lost for one
                self.log.exception("boxkeeper: cannot apply %s", type(item).__name__)

    def _apply(self, item: News) -> None:
        if isinstance(item, Answered):
            live = self._by_submission.get(item.submission_id)
            if live is not None:
                self._answered(live, item.result)
        elif isinstance(item, Happened):
            self._happened(item.event)
            self._cursor = item.event.cursor or self._cursor
        elif isinstance(item, AdoptedLate):
            for task_key, result in zip(item.keys, item.results):
                self._adopted_late(to_airflow(task_key), result)

    def _answered(self, live: _Live, result: executor_pb2.SubmitResult) -> None:
        from boxkeeper.v1 import executor_pb2 as pb

        if result.outcome in (pb.SubmitResult.ACCEPTED, pb.SubmitResult.DUPLICATE):
            live.task_id, live.workload = result.id, None
            if is_task(live.key):
                self.event_buffer[live.key] = (TaskInstanceState.QUEUED, result.id)
        elif result.outcome == pb.SubmitResult.QUEUE_FULL:
            wait = result.retry_after.ToMilliseconds() / 1000 or 1.0
            self._blocked_until = max(self._blocked_until, time.monotonic() + wait)
            self._put_back(live)
        else:
            told = [f"{violation.field}: {violation.description}" for violation in result.violations]
            self._reject(live.key, "\n".join(told) or result.message or "the daemon gave no reason")

    def _put_back(self, live: _Live) -> None:
        """Nothing of it was stored: it waits here again, for the same submission."""
        self._forget(live.key)
        facts = live.workload
        if isinstance(facts.workload, workloads.ExecuteTask):
            self.queued_tasks.setdefault(live.key, facts.workload)
        else:
            self.queued_callbacks.setdefault(live.key, facts.workload)
        self._facts.setdefault(live.key, facts)

    def _happened(self, event: task_pb2.Event) -> None:
        live = self._by_submission.get(event.task.submission_id)
        if live is None:
            return  # of an execution that is not ours any more: superseded, revoked, told already
        live.task_id = event.task.id
        self._carry_out(live.key, outcomes.judge(event))

    def _carry_out(self, key: Any, outcome: Outcome) -> None:
        """Tells Airflow."""
        if outcome.verdict == Verdict.SUCCESS:
            self._forget(key, running=False)
            self._tell(key, "SUCCESS", None)
        elif outcome.verdict == Verdict.FAIL:
            self._tell_fail(key, outcome.info, _EVENT_ENDED)
        elif outcome.verdict == Verdict.FORGET:
            if not is_task(key) and outcome.note:
                self._tell_fail(key, outcome.note, _EVENT_EXPIRED)  # nobody queues a callback again
                return
            self._forget(key)
            self._note(key, _EVENT_EXPIRED, outcome.note)
        elif outcome.verdict == Verdict.RUNNING and not is_task(key):
            self.event_buffer[key] = (state_of(key, "RUNNING"), None)

    def _tell_fail(self, key: Any, info: str, event: str) -> None:
        self._forget(key, running=False)
        self.log.error("boxkeeper: %s: %s", key, info)
        self._note(key, event, info)
        self._tell(key, "FAILED", info)

    def _tell(self, key: Any, state: str, info: Any) -> None:
        self._telling = True
        try:
            self.change_state(key, state_of(key, state), info)
        finally:
            self._telling = False

    def _note(self, key: Any, event: str, text: str) -> None:
        """A task event, shown in the UI beside the task."""
        if text and is_task(key):
            self.log_task_event(event=event, extra=text, ti_key=key)

    def log_task_event(self, **what: Any) -> None:
        """As the base, and keeps the record alive: the scheduler gives its records to SQLAlchemy by a generator, which holds only
        weak references to them and would store empty rows, that is none."""
        super().log_task_event(**what)
        self._event_records.extend(list(self._task_event_logs)[-1:])

    def change_state(self, key: Any, state: Any, info: Any = None, remove_running: bool = True, **more: Any) -> None:
        """As the base. A FAILED that is not the daemon's word (no heartbeat, stuck in queued) stops the sandbox."""
        if state == TaskInstanceState.FAILED and not self._telling:
            self._cancel(key, "Airflow has failed this task instance")
        super().change_state(key, state, info, remove_running, **more)

    # ---- revoke, adopt ----

    def revoke_task(self, *, ti: TaskInstance) -> None:
        """Takes a task back, without any event. The same key may be queued again right after: it replaces what still lives."""
        try:
            key = ti.key
            self.queued_tasks.pop(key, None)
            self._facts.pop(key, None)
            self.event_buffer.pop(key, None)
            self._cancel(key, "revoked by Airflow")
            self.running.discard(key)
            self._revoked[key] = None
            while len(self._revoked) > _REVOKED_MAX:
                self._revoked.pop(next(iter(self._revoked)))
        except Exception:
            self.log.exception("boxkeeper: revoke")

    def _cancel(self, key: Any, reason: str) -> None:
        """Stops what the daemon has of `key`, without an event."""
        live = self._live.get(key)
        adopting = self._adopting.pop(key, None)
        if (live is None and adopting is None) or self._courier is None or self._options is None:
            return
        namespace = Namespace(self._options.namespace)
        self._courier.cancel(submission_id=live.submission_id if live else "", task_id=live.task_id if live else "",
                             key=namespace.of_task(key) if is_task(key) else namespace.of_callback(str(key)), reason=reason)
        self._forget(key)

    def try_adopt_task_instances(self, tis: Sequence[TaskInstance]) -> Sequence[TaskInstance]:
        """Takes over the tasks of a scheduler that died, in one call; returns those that the daemon does not know.

        What is returned runs again. So if the daemon does not answer in time all count as adopted, and its answer is applied
        when it comes: better late than twice.
        """
        if self._courier is None or self._options is None or not tis:
            return tis
        try:
            return self._adopt(self._courier, self._options, [ti for ti in tis if ti.key not in self._live])
        except Exception:
            self.log.exception("boxkeeper: adoption; Airflow's own checks decide on these tasks")
            return []

    def _adopt(self, courier: Courier, options: Options, tis: Sequence[TaskInstance]) -> Sequence[TaskInstance]:
        namespace = Namespace(options.namespace)
        results = courier.adopt([namespace.of_task(ti.key) for ti in tis], options.adopt_timeout)
        if results is None:
            self.log.warning("boxkeeper: the daemon does not answer; %d orphaned tasks are kept until it does", len(tis))
            for ti in tis:
                self.running.add(ti.key)
                self._adopting[ti.key] = _adoption_facts(ti)
            return []
        unknown = [ti for ti, result in zip(tis, results) if not self._settle(ti.key, _adoption_facts(ti), result)]
        for owner in {self._owner_of(options.namespace, ti.queued_by_job_id) for ti in tis if ti.queued_by_job_id is not None}:
            if owner != courier.owner:
                courier.retire(owner)
        return unknown

    def _settle(self, key: TaskInstanceKey, facts: dict[str, Any], result: executor_pb2.AdoptResult) -> bool:
        """Applies the daemon's answer for one; False if it does not know this execution."""
        fate = outcomes.judge_adoption(result, fresh_ids=hasattr(BaseExecutor, "pre_assigns_external_executor_id"), **facts)
        if fate == Adoption.UNKNOWN:
            return False
        self.running.add(key)
        self._remember(_Live(key, result.task.submission_id, task_id=result.task.id))
        if facts["external_executor_id"] != result.task.id:
            self.event_buffer[key] = (TaskInstanceState.QUEUED, result.task.id)
        self._carry_out(key, outcomes.judge_state(result.task))
        return True

    def _adopted_late(self, key: TaskInstanceKey, result: executor_pb2.AdoptResult) -> None:
        facts = self._adopting.pop(key, None)
        if facts is None or self._settle(key, facts, result):
            return
        self.running.discard(key)
        self._note(key, _EVENT_UNKNOWN, "the daemon does not know this task: its scheduler died before it was handed over. Airflow "
                                        "queues it again when it has been queued for too long")

    # ---- bookkeeping ----

    def _remember(self, live: _Live) -> None:
        self._live[live.key] = live
        self._by_submission[live.submission_id] = live

    def _forget(self, key: Any, running: bool = True) -> None:
        """Whatever the daemon says of it from now on is ignored. `running`: it leaves the running set, too."""
        live = self._live.pop(key, None)
        if live is not None:
            self._by_submission.pop(live.submission_id, None)
        self._adopting.pop(key, None)
        if running:
            self.running.discard(key)

    # ---- slots ----

    @property
    def slots_available(self) -> int:
        """What the base says, lowered to what the daemon has room for; never below 0."""
        queued = len(self.queued_tasks) + len(getattr(self, "queued_callbacks", ()))
        return max(0, min(int(super().slots_available), self._limit() - len(self.running) - queued))

    def _limit(self) -> int:
        if self._courier is None or self._options is None:
            return self.parallelism
        return self._slots.limit(self.parallelism, self._courier.capacity, self._courier.reachable, self._options.overrides)

    # ---- logs ----

    def get_task_log(self, ti: TaskInstance, try_number: int) -> tuple[list[str], list[str]]:
        """(messages, [what the log store has not yet]). Works in any process, started or not; never raises."""
        from boxkeeper.airflow.executors.task_log import read_unstored

        conf = self._configuration()
        try:
            namespace = Namespace(str(conf.get("boxkeeper", "namespace", fallback="airflow") or "airflow"))
        except Exception as error:
            return [f"Boxkeeper: bad configuration: {error}"], []
        return read_unstored(conf, namespace, ti, try_number)


def _adoption_facts(ti: Any) -> dict[str, Any]:
    """What outcomes.judge_adoption needs to know of a task instance."""
    return {"queued": ti.state == TaskInstanceState.QUEUED, "external_executor_id": ti.external_executor_id,
            "queued_at": ti.queued_dttm}
