"""The pure parts: options, submissions, the meaning of events."""

import datetime
import json
import os
from unittest import mock

import pytest
from airflow.configuration import conf
from airflow.executors.base_executor import BaseExecutor
from executor_stand import make_workload, token

from boxkeeper.airflow.executors.config import BadOptions, read_options
from boxkeeper.airflow.executors.execution_timeouts import read_timeouts
from boxkeeper.airflow.executors.jobs import job_of
from boxkeeper.airflow.executors.keys import Namespace, to_airflow
from boxkeeper.airflow.executors.outcomes import Adoption, Verdict, judge, judge_adoption
from boxkeeper.airflow.executors.sandbox_executor import SandboxExecutor
from boxkeeper.airflow.executors.task_spec import BadOverride, make_task_spec, merge, start_deadline, task_override, token_expiry
from boxkeeper.airflow.options import OPTIONS
from boxkeeper.v1 import executor_pb2, task_pb2
from tests.harness.stubs import ROOT


def options(**values):
    environment = {f"AIRFLOW__BOXKEEPER__{name.upper()}": str(value) for name, value in values.items()}
    with mock.patch.dict(os.environ, environment):
        return read_options(conf)


def spec_of(workload, read=None, timeout=None, replace=False):
    job = job_of(workload, Namespace("airflow"), "0198c7d0-0000-7000-8000-000000000001", timeout, replace)
    return make_task_spec(job, read or options(), "airflow:airflow:1")


def override_of(spec):
    from google.protobuf import json_format

    return json_format.MessageToDict(spec.sandbox_override)


# Options


def test_every_mistake_in_the_options_is_told():
    with pytest.raises(BadOptions) as failure:
        options(timeout="soon", tls="perhaps", overrides="[1]", env='{"A": 1}', log_layout="fancy", pass_env="A B", start_margin=-1, key_file="/k")
    lines = str(failure.value).splitlines()
    assert len(lines) == 8 and all(line.startswith("[boxkeeper] ") for line in lines), lines


def test_every_option_is_described_and_read():
    class Recorder:
        def __init__(self):
            self.asked = set()

        def get(self, section, key, **more):
            if section == "boxkeeper":
                self.asked.add(key)
            return conf.get(section, key, **more)

    recorder = Recorder()
    read_options(recorder)
    assert recorder.asked == set(OPTIONS)


def test_the_documentation_has_every_option():
    with open(os.path.join(ROOT, "docs", "airflow.md"), encoding="utf-8") as file:
        text = file.read()
    for name, option in OPTIONS.items():
        default = f"`{option.default}`" if option.default is not None else ""
        assert f"| `{name}` | {default} | {option.description}" in text


def test_described_defaults_are_those_that_count():
    described = {name: option.default for name, option in OPTIONS.items() if option.default is not None}
    assert options(**described) == options()


def test_the_worker_is_told_what_it_needs_and_no_secret():
    with mock.patch.dict(os.environ, {"AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "7", "AIRFLOW__CORE__FERNET_KEY": "hidden-key",
                                      "AIRFLOW_CONN_X": "hidden-connection", "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://api:1/execution/"}):
        read = options(secret_env="AIRFLOW_CONN_X", env='{"A": "b"}')
    assert read.env["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://api:1/execution/"
    assert read.env["AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL"] == "7" and read.env["A"] == "b"
    assert read.env["AIRFLOW__LOGGING__REMOTE_LOGGING"] == "False" and read.env["AIRFLOW_HOME"] == os.environ["AIRFLOW_HOME"]
    text = json.dumps(dict(read.env))
    assert "hidden" not in text and "SQL_ALCHEMY" not in text and "JWT" not in text and "hidden" not in repr(read)
    spec = spec_of(make_workload("ok"), read)
    assert spec.secrets["AIRFLOW_CONN_X"].value == "hidden-connection"


def test_the_worker_knows_the_executors_that_tasks_may_name():
    listed = "LocalExecutor,sandbox:boxkeeper.airflow.executors.sandbox_executor.SandboxExecutor"
    with mock.patch.dict(os.environ, {"AIRFLOW__CORE__EXECUTOR": listed}):
        assert options().env["AIRFLOW__CORE__EXECUTOR"] == listed


def test_with_the_plain_layout_the_task_writes_its_log_itself():
    with mock.patch.dict(os.environ, {"AIRFLOW__LOGGING__REMOTE_LOGGING": "True", "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": "s3://b/p"}):
        read = options(log_layout="plain")
    assert read.env["AIRFLOW__LOGGING__REMOTE_LOGGING"] == "True" and read.env["AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"] == "s3://b/p"
    assert "log" not in override_of(spec_of(make_workload("ok"), read))


@pytest.mark.skipif(not hasattr(BaseExecutor, "supports_multi_team"), reason="this Airflow has no teams")
def test_a_team_has_options_of_its_own_over_everybodys():
    with mock.patch.dict(os.environ, {"AIRFLOW__BOXKEEPER__NAMESPACE": "all", "AIRFLOW__BOXKEEPER__TIMEOUT": "7",
                                      "AIRFLOW__CORE__DAGS_FOLDER": "/of/all", "AIRFLOW__BLUE___BOXKEEPER__NAMESPACE": "blue"}):
        executor = SandboxExecutor(parallelism=4, team_name="blue")
        read = read_options(executor._configuration())
        assert (read.namespace, read.connection["timeout"], read.env["AIRFLOW__CORE__DAGS_FOLDER"]) == ("blue", 7.0, "/of/all")
        assert executor._owner_of("blue", 3) == "airflow:blue:3:blue"
        assert read_options(SandboxExecutor(parallelism=4)._configuration()).namespace == "all"


# Submissions


def test_a_submission_carries_the_workload_as_a_secret_file_only():
    item = make_workload("ok", try_number=3, map_index=2, priority=7)
    spec = spec_of(item)
    assert to_airflow(spec.key) == item.ti.key and spec.key.namespace == "airflow" and spec.key.kind == task_pb2.TaskKey.TASK
    (file,) = spec.files
    assert file.secret and file.content == item.model_dump_json().encode()
    assert list(spec.command.argv.args) == ["python", "-m", "airflow.sdk.execution_time.execute_workload", "--json-path", file.path]
    spec.ClearField("files")
    spec.ClearField("secrets")  # before 3.2: the token, so that the daemon overwrites it in the log
    assert item.token not in str(spec)
    override = override_of(spec)
    assert override["priority"] == 7 and override["log"] == {"layout": "airflow", "path": item.log_path}
    assert spec.on_live_key == task_pb2.ON_LIVE_KEY_AFTER and "timeout" not in override
    assert spec_of(item, replace=True).on_live_key == task_pb2.ON_LIVE_KEY_REPLACE


def test_the_start_deadline_is_before_the_tokens_end():
    text = token(100)
    deadline = datetime.datetime.strptime(start_deadline(text, 30), "%Y-%m-%dT%H:%M:%S.%f%z")
    assert abs(deadline.timestamp() - (token_expiry(text) - 30)) < 0.001
    for bad in ("", "a.b.c", "no token", "e30.e30.e30"):
        assert start_deadline(bad, 30) is None


def test_the_timeout_covers_what_airflow_allows():
    assert override_of(spec_of(make_workload("ok"), timeout=100.0))["timeout"] == "180.000s"
    item = make_workload("ok", config={"sandbox_override": {"timeout": "5s"}})
    assert override_of(spec_of(item, timeout=100.0))["timeout"] == "5s"


def test_a_tasks_override_lies_over_the_options():
    read = options(overrides='{"image": "a", "env": {"X": "1", "Y": "1"}}', provider="one, two")
    item = make_workload("ok", config={"sandbox_override": {"image": "b", "env": {"Y": "2"}, "volumes": ("/a:/b",), "priority": 5}})
    override = override_of(spec_of(item, read))
    assert override["image"] == "b" and override["provider"] == ["one", "two"] and override["volumes"] == ["/a:/b"]
    assert override["env"]["X"] == "1" and override["env"]["Y"] == "2" and override["priority"] == 5
    assert merge({"log": {"a": 1}}, {"log": {"b": 2}}) == {"log": {"a": 1, "b": 2}}


@pytest.mark.parametrize("config, texts", [
    ("text", ["executor_config: a dict is wanted"]),
    ({"sandbox_override": []}, []),
    ({"sandbox_override": [1]}, ["sandbox_override: a dict is wanted, not list"]),
    ({"sandbox_override": {"cpu": True, "env": {"A": 1}}, "x": 1}, [".cpu: ", ".env.A: a text", "executor_config.x"]),
])
def test_an_executor_config_that_cannot_be_says_all(config, texts):
    if texts:
        with pytest.raises(BadOverride) as failure:
            task_override(config)
        assert all(text in str(failure.value) for text in texts) and len(str(failure.value).splitlines()) == len(texts)
    else:
        with pytest.raises(BadOverride):
            task_override(config)


def test_execution_timeouts_are_found_however_they_are_written():
    assert read_timeouts({"client_defaults": {"tasks": {}}, "dag": {"tasks": [
        {"__type": "operator", "__var": {"task_id": "a", "execution_timeout": 90.0}},
        {"__type": "operator", "__var": {"task_id": "b", "partial_kwargs": {"execution_timeout": {"__type": "timedelta", "__var": 60.0}}}},
        {"__type": "operator", "__var": {"task_id": "c"}}]}}) == {"a": 90.0, "b": 60.0}
    assert read_timeouts({}) == {}


# Events


def event(state, reason="UNSPECIFIED", kind="STATE", **fields):
    return task_pb2.Event(type=task_pb2.EventType.Value(f"EVENT_TYPE_{kind}"), task=task_pb2.Task(
        id="a" * 26, state=task_pb2.TaskState.Value(f"TASK_STATE_{state}"), reason=task_pb2.Reason.Value(f"REASON_{reason}"), **fields))


@pytest.mark.parametrize("what, verdict, text", [
    (event("QUEUED"), Verdict.NOTHING, ""),
    (event("RUNNING"), Verdict.RUNNING, ""),
    (event("SUCCEEDED", "EXIT_CODE", exit_code=0), Verdict.SUCCESS, ""),
    (event("SUCCEEDED", "EXIT_CODE", kind="LOG_COMPLETE"), Verdict.NOTHING, ""),
    (event("RUNNING", kind="OWNER_LOST"), Verdict.FORGET, ""),
    (event("FAILED", "EXIT_CODE", kind="OWNER_CHANGED"), Verdict.FAIL, "FAILED/EXIT_CODE"),
    (event("FAILED", "OOM", signal=9, message="over 64 MiB"), Verdict.FAIL, "FAILED/OOM by signal 9: over 64 MiB"),
    (event("LOST", "SANDBOX_LOST"), Verdict.FAIL, "LOST/SANDBOX_LOST"),
    (event("FAILED", "START_FAILED", message="no such file", user_code_started=task_pb2.USER_CODE_STARTED_NO), Verdict.FAIL,
     "no such file (user code never started)"),
    (event("CANCELLED", "CANCELLED", message="by an operator"), Verdict.FAIL, "by an operator"),
])
def test_what_an_event_means(what, verdict, text):
    outcome = judge(what)
    assert outcome.verdict == verdict and text in outcome.info


def test_an_expiry_is_no_failure():
    outcome = judge(event("FAILED", "EXPIRED"))
    assert outcome.verdict == Verdict.FORGET and "EXPIRED" in outcome.note and not outcome.info


_NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
_SUBMISSION = "0198c7d0-0000-7000-8000-000000000001"


def result(outcome, state="RUNNING", accepted=0.0):
    found = executor_pb2.AdoptResult(outcome=executor_pb2.AdoptResult.Outcome.Value(outcome))
    if outcome != "UNKNOWN":
        found.task.CopyFrom(task_pb2.Task(id="a" * 26, submission_id=_SUBMISSION, state=task_pb2.TaskState.Value(f"TASK_STATE_{state}")))
        found.task.accepted_at.FromDatetime((_NOW + datetime.timedelta(seconds=accepted)).replace(tzinfo=None))
    return found


@pytest.mark.parametrize("found, queued, external, fresh, expected", [
    (result("UNKNOWN"), False, None, True, Adoption.UNKNOWN),
    (result("LIVE"), False, None, True, Adoption.LIVE),
    (result("TERMINAL", "FAILED"), False, "x" * 36, True, Adoption.ENDED),  # it ran: whatever ended is its end
    (result("LIVE"), True, _SUBMISSION, True, Adoption.LIVE),
    (result("LIVE", accepted=-5), True, "a" * 26, True, Adoption.LIVE),
    (result("TERMINAL", "SUCCEEDED"), True, "0198c7d0-0000-7000-8000-00000000ffff", True, Adoption.UNKNOWN),
    (result("TERMINAL", "SUCCEEDED", accepted=-5), True, "a" * 26, False, Adoption.UNKNOWN),
    (result("TERMINAL", "FAILED", accepted=5), True, "a" * 26, False, Adoption.ENDED),
    (result("LIVE", "QUEUED", accepted=-5), True, None, False, Adoption.LIVE),
])
def test_which_execution_an_adoption_found(found, queued, external, fresh, expected):
    assert judge_adoption(found, queued=queued, external_executor_id=external, queued_at=_NOW, fresh_ids=fresh) == expected


def test_the_modules_that_airflow_imports_everywhere_are_free_of_grpc():
    import subprocess
    import sys

    code = ("import sys; sys.path[:0] = " + repr([path for path in sys.path if path]) + "; import boxkeeper.airflow.executors.sandbox_executor; "
            "print([name for name in sys.modules if name.split('.')[0] == 'grpc' or name.startswith('google.protobuf')])")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1] == "[]"
