"""A deadline that every run misses: its callback runs in the executor."""

from datetime import timedelta

from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback, dag, task
from late import leave_word
from place import wait_for_pass


@dag(schedule=None, deadline=DeadlineAlert(reference=DeadlineReference.DAGRUN_QUEUED_AT, interval=timedelta(seconds=1),
                                           callback=SyncCallback(leave_word)))
def missed():
    @task
    def waits():
        wait_for_pass("gate")

    waits()


missed()
