"""Waits for the end of a sandbox in Airflow's triggerer, while no worker is held."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Optional

from airflow.triggers.base import BaseTrigger, TriggerEvent

from boxkeeper.airflow.triggers.clients import shared_client

# What the triggerer of Airflow 3.3 and later says to a trigger whose task a user killed, before it calls on_kill.
_USER_ACTION = "__airflow_user_action__"
_CANCEL_SECONDS = 20.0  # the triggerer gives on_kill 30 s
_NOTHING_LOST_SECONDS = 30.0  # of one wait: how late a missed deadline is noticed at most


class SandboxTrigger(BaseTrigger):
    """Fires once, when the task `task_id` of the daemon has ended: {"status": "ended", "task_id": ..., ...}.

    `status` is "timeout" if `deadline` (Unix seconds) passed first, which cancels the sandbox, and "error" if the daemon was away
    too long or does not know the task. Renews the lease of `lease` seconds. The other arguments name the task instance, and
    `adopted` goes into the event as it came.

    The sandbox is cancelled when a user kills the deferred task instance (clears it, marks it), and not when the triggerer stops
    or hands the trigger over: Airflow 3.3 tells the two apart itself (on_kill); before, the state of the task instance does.
    """

    def __init__(self, task_id: str, adopted: bool, lease: float, deadline: Optional[float], boxkeeper_conn_id: str, dag_id: str,
                 run_id: str, airflow_task_id: str, map_index: int) -> None:
        super().__init__()
        self.sandbox_task_id = task_id
        self.adopted = adopted
        self.lease = lease
        self.deadline = deadline
        self.boxkeeper_conn_id = boxkeeper_conn_id
        self.dag_id = dag_id
        self.run_id = run_id
        self.airflow_task_id = airflow_task_id
        self.map_index = map_index
        self._settings: Any = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "boxkeeper.airflow.triggers.sandbox.SandboxTrigger", {
            "task_id": self.sandbox_task_id, "adopted": self.adopted, "lease": self.lease, "deadline": self.deadline,
            "boxkeeper_conn_id": self.boxkeeper_conn_id, "dag_id": self.dag_id, "run_id": self.run_id,
            "airflow_task_id": self.airflow_task_id, "map_index": self.map_index}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Never raises, but when it is cancelled: a failure is an event, which the operator tells in the task's log."""
        # A task of its own: grpc.aio would replace the CancelledError, and with it the message by which Airflow 3.3 knows a kill.
        waiting = asyncio.ensure_future(self._wait())
        try:
            await asyncio.wait({waiting})
        except asyncio.CancelledError as stop:
            waiting.cancel()
            await asyncio.wait({waiting})
            if not (stop.args and stop.args[0] == _USER_ACTION) and await self._was_killed():
                await self._cancel("airflow: the deferred task was killed")
            raise
        error = waiting.exception()
        status, message = waiting.result() if error is None else ("error", f"{type(error).__name__}: {error}")
        yield TriggerEvent({"status": status, "message": message, "task_id": self.sandbox_task_id, "adopted": self.adopted,
                            "lease": self.lease})

    async def on_kill(self) -> None:
        """Called by Airflow 3.3 and later when a user killed the deferred task."""
        await self._cancel("airflow: the deferred task was killed")

    async def _wait(self) -> tuple[str, str]:
        from boxkeeper.airflow.commands.lease import renew_interval
        from boxkeeper.client import BoxkeeperError, WaitTimeout

        async with shared_client(await self._connect()) as client:
            while True:
                try:
                    await client.renew_lease([self.sandbox_task_id])
                except BoxkeeperError as error:
                    self.log.debug("could not renew the lease: %s", error)
                left = None if self.deadline is None else self.deadline - time.time()
                if left is not None and left <= 0:
                    await client.cancel_tasks(ids=[self.sandbox_task_id], reason="airflow: execution_timeout has passed")
                    return "timeout", ""
                slice_seconds = min(renew_interval(self.lease), _NOTHING_LOST_SECONDS, left if left is not None else 3600.0)
                try:
                    await client.wait([self.sandbox_task_id], until="END", timeout=slice_seconds)
                    return "ended", ""
                except WaitTimeout:
                    continue

    async def _connect(self) -> Any:
        if self._settings is None:
            from asgiref.sync import sync_to_async

            from boxkeeper.airflow.commands.connect import settings_of

            self._settings = await sync_to_async(settings_of)(self.boxkeeper_conn_id)
        return self._settings

    async def _cancel(self, reason: str) -> None:
        from boxkeeper.client import BoxkeeperError

        try:
            async with shared_client(await self._connect()) as client:
                await client.cancel_tasks(ids=[self.sandbox_task_id], reason=reason, timeout=_CANCEL_SECONDS)
            self.log.info("cancelled the sandbox of task %s", self.sandbox_task_id)
        except BoxkeeperError as error:
            self.log.warning("could not cancel the sandbox of task %s (%s); it ends when its lease lapses", self.sandbox_task_id, error)

    async def _was_killed(self) -> bool:
        """Before Airflow 3.3: whether the task instance is deferred no more, so that this trigger was not merely handed over."""
        if _has_on_kill():
            return False  # cancelled without the word of a user: the triggerer stops
        try:
            from asgiref.sync import sync_to_async

            from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

            states = await sync_to_async(RuntimeTaskInstance.get_task_states)(
                dag_id=self.dag_id, task_ids=[self.airflow_task_id], run_ids=[self.run_id], map_index=self.map_index)
            return _state_of(states, self.run_id, self.airflow_task_id, self.map_index) != "deferred"
        except Exception as error:  # a triggerer that stops may not answer any more: then nobody was killed
            self.log.debug("cannot tell the state of the task instance: %s", error)
            return False


def _has_on_kill() -> bool:
    return hasattr(BaseTrigger, "on_kill")


def _state_of(states: Any, run_id: str, task_id: str, map_index: int) -> str:
    """Of one task instance in what Airflow says of a run's: mapped ones have their index in the name. "" = there is none."""
    of_run = states.get(run_id, {})
    state = of_run.get(f"{task_id}_{map_index}" if map_index >= 0 else task_id, "")
    return str(getattr(state, "value", state))
