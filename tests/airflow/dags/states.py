"""Every way in which a task instance ends or pauses, one task each."""

import os
import signal
import threading
from datetime import timedelta

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from place import leave_line


class Deferred(BaseOperator):
    """Pauses twice in the triggerer: three executions of one try.

    For `conf["delay"]` seconds each: LocalExecutor of 3.3.2 forgets what it was handed, and takes a task that is queued
    again before its first end was told for one that was killed."""

    def _pause(self, context, then):
        delay = timedelta(seconds=context["dag_run"].conf["delay"])
        self.defer(trigger=TimeDeltaTrigger(delay), method_name=then)

    def execute(self, context):
        leave_line("deferred", "begins")
        self._pause(context, "again")

    def again(self, context, event=None):
        leave_line("deferred", "again")
        self._pause(context, "ends")

    def ends(self, context, event=None):
        leave_line("deferred", "ends")
        return "deferred twice"


def _failed(context):
    leave_line("callbacks", f"failure {context['ti'].task_id} {context['ti'].try_number}", context)


def _retried(context):
    leave_line("callbacks", f"retry {context['ti'].task_id} {context['ti'].try_number}", context)


def _succeeded(context):
    leave_line("callbacks", f"success {context['ti'].task_id} {context['ti'].try_number}", context)


@dag(schedule=None)
def states():
    @task(execution_timeout=timedelta(seconds=2))
    def timeout():
        leave_line("timeout", "begins")
        threading.Event().wait()

    @task(retries=2, retry_delay=timedelta(seconds=0), on_retry_callback=_retried, on_failure_callback=_failed)
    def never_succeeds():
        leave_line("never_succeeds", get_current_context()["ti"].try_number)
        raise ValueError("never")

    @task(retries=2)
    def fails_at_once():
        leave_line("fails_at_once", get_current_context()["ti"].try_number)
        raise AirflowFailException("no retry")

    @task
    def killed():
        leave_line("killed", "begins")
        os.kill(os.getpid(), signal.SIGKILL)

    @task
    def skipped():
        raise AirflowSkipException("not today")

    @task(on_success_callback=_succeeded)
    def succeeds():
        return 1

    # LocalExecutor must have told the end of a poke before the next one; see Deferred.
    @task.sensor(poke_interval=15, timeout=120, mode="reschedule")
    def rescheduled():
        leave_line("rescheduled", "poke")
        ti = get_current_context()["ti"]
        # Told by the file, as nothing of a poke lives on.
        path = os.path.join(get_current_context()["dag_run"].conf["place"], "rescheduled")
        with open(path, encoding="utf-8") as file:
            return len(file.readlines()) >= 3 and ti.try_number == 1

    @task(trigger_rule="all_done")
    def last():
        leave_line("last", "ran")

    [timeout(), never_succeeds(), fails_at_once(), killed(), skipped(), succeeds(), Deferred(task_id="deferred"), rescheduled()] >> last()


states()
