"""Shows task logs as Airflow does: its S3 log reader and its task log handler, unmodified. Run by the readers' own interpreter.

Each line of standard input is {"base": "s3://bucket/prefix", "path": log_path, "running": bool, "separate": bool}; the answer is a
line with the list of [event, logger, timestamp in unix ms or null] in the order shown. `separate`: each object is a stream of its own for the merge, as the
newer providers give them; else the objects are one stream, as the S3 provider does. With "live": true the answer {"get_task_log": null} may come first: the
handler asks the executor now, whose text is then the next line of input (a JSON text).
"""

import functools
import itertools
import json
import os
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
    ask_executor = None

    def _render_filename(self, ti, try_number, *more, **keys):
        return self.path

    def _get_executor_get_task_log(self, ti):
        return lambda ti, try_number: self.ask_executor and (["executor"], [self.ask_executor()])

    def _read_from_logs_server(self, ti, path):
        return [], []


def _facts(message):
    time = message.timestamp
    return [message.event, getattr(message, "logger", None), None if time is None else int(time.timestamp() * 1000)]


def _ask_executor(answers):
    print(json.dumps({"get_task_log": None}), file=answers, flush=True)
    return json.loads(sys.stdin.readline())


def _use(remote):
    """Where the handler looks for it: up to 3.1, from 3.2 on."""
    logging_config.REMOTE_TASK_LOG = remote
    logging_config.get_remote_task_log = lambda: remote


def main():
    """Answers until standard input ends."""
    # Airflow's own loggers have taken standard output for theirs.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in iter(sys.stdin.readline, ""):
        question = json.loads(line)
        remote = S3RemoteLogIO(remote_base=question["base"], base_log_folder="/nonexistent", delete_local_copy=False)
        _use(_SeparateStreams(remote) if question["separate"] else remote)
        handler = _Handler("/nonexistent")
        handler.path = question["path"]
        if question.get("live"):
            handler.ask_executor = functools.partial(_ask_executor, answers)
        state = TaskInstanceState.RUNNING if question["running"] else TaskInstanceState.SUCCESS
        stream, _ = handler._read(types.SimpleNamespace(state=state, try_number=1), 1)
        # In front stands the group of the sources; newer versions have an event for each.
        lines = list(itertools.dropwhile(lambda message: message.event != "::endgroup::", stream))
        shown = [_facts(message) for message in lines[1:]]
        print(json.dumps(shown), file=answers, flush=True)


main()
