"""Shows task logs as Airflow does: its S3 log reader and its task log handler, unmodified. Run by the readers' own interpreter.

Each line of standard input is {"base": "s3://bucket/prefix", "path": log_path, "running": bool, "separate": bool}; the answer is a
line with the list of [event, logger, timestamp in unix ms or null] in the order shown. `separate`: each object is a stream of its own for the merge, as the
newer providers give them; else the objects are one stream, as the S3 provider does.
"""

import json
import sys
import types

from airflow import logging_config
from airflow.providers.amazon.aws.log.s3_task_handler import S3RemoteLogIO
from airflow.utils.log import file_task_handler
from airflow.utils.state import TaskInstanceState


class _SeparateStreams:
    """The S3 reader's objects as streams."""

    def __init__(self, remote):
        self._remote = remote

    def read(self, path, ti):
        messages, logs = self._remote.read(path, ti)
        return messages, [file_task_handler._get_compatible_log_stream([log]) for log in logs or []]


class _Handler(file_task_handler.FileTaskHandler):
    """Without a database and an executor: only where the log lies and that nobody else has it."""

    path = ""

    def _render_filename(self, ti, try_number, *more, **keys):
        return self.path

    def _get_executor_get_task_log(self, ti):
        return lambda ti, try_number: None

    def _read_from_logs_server(self, ti, path):
        return [], []


def _facts(message):
    time = message.timestamp
    return [message.event, getattr(message, "logger", None), None if time is None else int(time.timestamp() * 1000)]


def main():
    """Answers until standard input ends."""
    answers = sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        question = json.loads(line)
        remote = S3RemoteLogIO(remote_base=question["base"], base_log_folder="/nonexistent", delete_local_copy=False)
        logging_config.REMOTE_TASK_LOG = _SeparateStreams(remote) if question["separate"] else remote
        handler = _Handler("/nonexistent")
        handler.path = question["path"]
        state = TaskInstanceState.RUNNING if question["running"] else TaskInstanceState.SUCCESS
        stream, _ = handler._read(types.SimpleNamespace(state=state, try_number=1), 1)
        shown = [_facts(message) for message in stream if not message.event.startswith("::")]
        print(json.dumps(shown), file=answers, flush=True)


main()
