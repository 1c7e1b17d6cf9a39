"""SandboxOperator with a client in memory: what it submits, and what it makes of the end."""

import datetime

import pytest
from fakes import FakeClient, context, end

from airflow.exceptions import TaskDeferred
from boxkeeper.airflow.commands import connect
from boxkeeper.airflow.commands.compat import AirflowException, AirflowFailException, AirflowSkipException, AirflowTaskTimeout
from boxkeeper.airflow.commands.outcome import SandboxFailed
from boxkeeper.airflow.commands.results import BadResult
from boxkeeper.airflow.operators import sandbox
from boxkeeper.airflow.operators.sandbox import SandboxOperator
from boxkeeper.client import QueueFull, Rejected, Unavailable, keys
from boxkeeper.v1 import executor_pb2


@pytest.fixture
def client(monkeypatch):
    made = FakeClient()
    monkeypatch.setattr(sandbox, "open_client", lambda conn_id: made)
    return made


def run(operator, **arguments):
    """Renders the templates and executes, as a task runner does; returns (value, XComs pushed)."""
    values = context(**arguments)
    operator.render_template_fields(values)
    return SandboxOperator.execute.__wrapped__(operator, values), values["ti"].pushed


def execute(operator, values):
    return SandboxOperator.execute.__wrapped__(operator, values)


def says(client, stdout=b"", stderr=b"", **how):
    """Makes the next command print this and end so."""
    def on_submit(task):
        client.logs[task.id, "STDOUT"], client.logs[task.id, "STDERR"] = stdout, stderr
        end(task, **how)

    client.on_submit = on_submit


def test_the_submission_is_what_the_arguments_say(client):
    run(SandboxOperator(task_id="job", command="echo {{ ds }}", image="python:3.12", cpu=2, memory_mb=512, env={"DAY": "{{ ds }}", "N": 3},
                        workdir="/srv", timeout=datetime.timedelta(minutes=5), outputs=["dist"], provider=["a", "b"], profile="big",
                        files={"a/b.txt": "of {{ ds }}", "run.sh": {"content": "exit 0", "mode": 0o755}},
                        sandbox_override={"grace": "3s", "pids": 7}), map_index=4, try_number=2)
    (spec,) = client.specs
    assert spec.command.shell == "echo 2026-01-02"
    assert dict(spec.sandbox_override) == {
        "image": "python:3.12", "cpu": 2, "memory_mb": 512, "env": {"DAY": "2026-01-02", "N": "3"}, "workdir": "/srv",
        "timeout": "300000ms", "outputs": ["dist"], "provider": ["a", "b"], "profile": "big", "grace": "3s", "pids": 7}
    assert [(file.path, file.content, file.mode) for file in spec.files] == [
        ("a/b.txt", b"of 2026-01-02", 0), ("run.sh", b"exit 0", 0o755)]
    assert keys.key_string(spec.key) == "airflow/COMMAND/dag/run/job/4/2"
    assert spec.lease.on_lapse == spec.lease.CANCEL and spec.owner == ""


def test_a_list_is_argv_and_a_script_has_a_language(client):
    run(SandboxOperator(task_id="job", command=["echo", "{{ ds }}"]))
    run(SandboxOperator(task_id="other", script="print(1)", script_lang="python"), task_id="other")
    assert list(client.specs[0].command.argv.args) == ["echo", "2026-01-02"]
    assert (client.specs[1].command.script.lang, client.specs[1].command.script.body) == ("python", "print(1)")


def test_secrets_travel_as_secrets_and_nowhere_else(client, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_LLM", '{"conn_type": "http", "password": "sk-123456", "extra": {"org": "acme-42"}}')
    monkeypatch.setenv("AIRFLOW_VAR_TOKEN", "var-123456")
    operator = SandboxOperator(
        task_id="job", command="true", secret_files={"key.pem": "file-{{ ds }}"},
        secrets={"A": "plain-{{ ds }}", "B": {"connection": "llm"}, "C": {"connection": "llm", "field": "extra.org"},
                 "D": {"variable": "token"}, "E": {"env": "OF_DAEMON"}, "F": {"file": "/etc/secret"}})
    run(operator)
    (spec,) = client.specs
    assert {name: secret.value or secret.env or secret.file for name, secret in spec.secrets.items()} == {
        "A": "plain-2026-01-02", "B": "sk-123456", "C": "acme-42", "D": "var-123456", "E": "OF_DAEMON", "F": "/etc/secret"}
    assert [(file.path, file.content, file.secret) for file in spec.files] == [("key.pem", b"file-2026-01-02", True)]
    assert not {"secrets", "secret_files"} & set(operator.template_fields)
    assert "sk-123456" not in str(spec.labels) + str(spec.sandbox_override) + str(vars(operator))


def test_a_secret_without_a_value_fails_for_good(client, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_LLM", '{"conn_type": "http"}')
    with pytest.raises(AirflowFailException, match="secret KEY: password of connection 'llm' gives no text"):
        run(SandboxOperator(task_id="job", command="true", secrets={"KEY": {"connection": "llm"}}))
    assert client.specs == []


def test_the_submission_id_is_the_same_for_each_submission_of_a_try(client):
    operator = SandboxOperator(task_id="job", command="true")
    run(operator)
    run(operator)
    run(operator, try_number=2)
    assert len(client.specs) == 2 and client.specs[0].submission_id != client.specs[1].submission_id


def test_large_files_travel_as_blobs_and_small_ones_inline(client, tmp_path):
    (tmp_path / "big").write_bytes(b"x" * 70_000)
    (tmp_path / "small").write_bytes(b"small")
    (tmp_path / "small").chmod(0o750)
    run(SandboxOperator(task_id="job", command="true", files={
        "big": tmp_path / "big", "small": {"local": str(tmp_path / "small")}, "bytes": b"\0\1", "text": "y" * 80_000}))
    files = {file.path: file for file in client.specs[0].files}
    assert files["big"].blob == f"{70_000:064x}" and not files["big"].content
    assert (files["small"].content, files["small"].mode) == (b"small", 0o750)
    assert files["bytes"].content == b"\0\1" and files["text"].blob


def test_a_local_file_that_is_not_there_fails_for_good(client):
    with pytest.raises(AirflowFailException, match=r"files\['a'\]: cannot read '/nowhere/file'"):
        run(SandboxOperator(task_id="job", command="true", files={"a": {"local": "/nowhere/file"}}))


@pytest.mark.parametrize(("arguments", "says"), [
    ({}, "exactly one of command and script"),
    ({"command": "a", "script": "b"}, "exactly one of command and script"),
    ({"script": "b", "script_lang": "perl"}, "script_lang: 'perl' is none of"),
    ({"command": "a", "xcom_format": "xml"}, "xcom_format: 'xml' is none of"),
    ({"command": "a", "outputs": "dist"}, "outputs: a list"),
    ({"command": "a", "outputs_dir": "/tmp"}, "outputs_dir: there are no outputs"),
    ({"command": "a", "image": "x", "sandbox_override": {"image": "y"}}, "given twice.*: image"),
    ({"command": "a", "secrets": {"K": {"vault": "x"}}}, r"secrets\['K'\]: a secret is"),
    ({"command": "a", "secrets": {"K": {"connection": "x", "field": "pasword"}}}, "field 'pasword' of a connection"),
    ({"command": "a", "secrets": ["K"]}, "secrets: a map is needed"),
    ({"command": "a", "files": {"f": {"contents": "x"}}}, r"files\['f'\]"),
])
def test_what_cannot_work_is_said_when_the_dag_is_parsed(arguments, says):
    with pytest.raises(ValueError, match=says):
        SandboxOperator(task_id="job", **arguments)


def test_a_refused_sandbox_fails_for_good_with_every_mistake(client):
    result = executor_pb2.SubmitResult(outcome=executor_pb2.SubmitResult.REJECTED)
    result.violations.add(field="sandbox_override.imag", description="unknown key, did you mean 'image'?")
    result.violations.add(field="sandbox_override.cpu", description="must be above 0")
    client.refusals = [Rejected("refused", result)]
    with pytest.raises(AirflowFailException) as failure:
        run(SandboxOperator(task_id="job", command="true"))
    assert "sandbox_override.imag: unknown key, did you mean 'image'?" in str(failure.value)
    assert "sandbox_override.cpu: must be above 0" in str(failure.value)


def test_an_environment_has_values(client):
    with pytest.raises(AirflowFailException, match="env: no value for B"):
        run(SandboxOperator(task_id="job", command=["echo", 5], env={"A": 1, "B": None}))
    run(SandboxOperator(task_id="job", command=["echo", 5], env={"A": 1}))
    assert list(client.specs[0].command.argv.args) == ["echo", "5"]


def test_a_full_queue_is_waited_for(client):
    client.refusals = [QueueFull("full", executor_pb2.SubmitResult(outcome=executor_pb2.SubmitResult.QUEUE_FULL))]
    run(SandboxOperator(task_id="job", command="true"))
    assert len(client.specs) == 1


def test_a_daemon_that_is_away_may_be_tried_again(client):
    client.refusals = [Unavailable("gone", code="UNAVAILABLE")]
    with pytest.raises(AirflowException, match="could not submit the command") as failure:
        run(SandboxOperator(task_id="job", command="true"))
    assert not isinstance(failure.value, AirflowFailException)


def test_the_output_is_the_log_and_the_last_line_the_xcom(client, monkeypatch):
    shown = []
    monkeypatch.setattr(SandboxOperator, "_show", lambda self, line: shown.append(line))
    says(client, stdout=b"first\nlast line\r\n\n", stderr=b"warned")
    value, _ = run(SandboxOperator(task_id="job", command="true"))
    assert value == "last line" and sorted(shown) == ["", "first", "last line", "warned"]


def test_no_xcom_where_none_is_wanted_nothing_was_said_or_too_much(client):
    says(client, stdout=b"x\n")
    assert run(SandboxOperator(task_id="a", command="true", do_xcom_push=False), task_id="a")[0] is None
    says(client, stdout=b"")
    assert run(SandboxOperator(task_id="b", command="true"), task_id="b")[0] is None
    says(client, stdout=b"x" * 20 + b"\n")
    assert run(SandboxOperator(task_id="c", command="true", xcom_max_bytes=10), task_id="c")[0] is None


@pytest.mark.parametrize(("how", "words"), [
    ({"state": "FAILED", "code": 3}, "the command exited with code 3"),
    ({"state": "FAILED", "reason": "SIGNAL", "signal": 9}, r"killed by signal 9 \(SIGKILL\)"),
    ({"state": "FAILED", "reason": "OOM"}, "needed more memory than it may have"),
    ({"state": "FAILED", "reason": "RUN_TIMEOUT"}, "ran longer than its timeout"),
    ({"state": "FAILED", "reason": "EXPIRED"}, "its start deadline passed before the command started"),
    ({"state": "FAILED", "reason": "IMAGE_NOT_FOUND", "message": "no such image: x"}, r"its image was not found \(no such image: x\)"),
    ({"state": "LOST", "reason": "SANDBOX_LOST"}, "vanished and nobody saw how the command ended"),
    ({"state": "CANCELLED", "reason": "CLIENT_LOST"}, "nobody renewed its lease"),
])
def test_each_end_is_told_in_words(client, how, words):
    says(client, stdout=b"one\ntwo\n", **how)
    with pytest.raises(SandboxFailed, match=words) as failure:
        run(SandboxOperator(task_id="job", command="true"))
    assert (failure.value.state, failure.value.reason) == (how["state"], how.get("reason", "EXIT_CODE"))
    assert failure.value.exit_code == how.get("code") and "  two" in str(failure.value)
    assert not isinstance(failure.value, AirflowFailException)


def test_a_sandbox_that_the_provider_refuses_is_not_tried_again(client):
    says(client, state="FAILED", reason="INVALID_SPEC")
    with pytest.raises(AirflowFailException, match="refused the sandbox as described"):
        run(SandboxOperator(task_id="job", command="true"))


def test_codes_that_mean_skip(client):
    says(client, state="FAILED", code=99)
    for codes in (99, [3, 99]):
        with pytest.raises(AirflowSkipException, match="code 99"):
            run(SandboxOperator(task_id="job", command="true", skip_on_exit_code=codes))


def artifacts(client, files, **how):
    def on_submit(task):
        client.artifacts[task.id] = files
        task.outputs.collected = True
        end(task, **how)

    client.on_submit = on_submit


def test_a_file_as_xcom(client):
    artifacts(client, {"r.json": b'{"a": [1]}', "r.txt": b"text"})
    assert run(SandboxOperator(task_id="a", command="true", xcom_file="r.json"), task_id="a")[0] == {"a": [1]}
    assert run(SandboxOperator(task_id="b", command="true", xcom_file="r.txt"), task_id="b")[0] == "text"
    assert run(SandboxOperator(task_id="c", command="true", xcom_file="r.json", xcom_format="text"), task_id="c")[0] == '{"a": [1]}'
    assert list(client.specs[0].sandbox_override["outputs"]) == ["r.json"]


@pytest.mark.parametrize(("content", "words"), [
    ({}, "'r.json' is not among the outputs"),
    ({"r.json": b"x" * 11}, "has 11 bytes, more than 10"),
    ({"r.json": b"{"}, "'r.json' is no JSON"),
])
def test_a_file_that_is_no_xcom_is_a_clear_failure(client, content, words):
    artifacts(client, content)
    with pytest.raises(BadResult, match=words):
        run(SandboxOperator(task_id="job", command="true", xcom_file="r.json", xcom_max_bytes=10))


def test_a_secret_in_a_result_is_masked(client):
    artifacts(client, {"r.json": b'{"key": "sk-123456"}'})
    value, _ = run(SandboxOperator(task_id="job", command="true", xcom_file="r.json", secrets={"K": "sk-123456"}))
    assert value == {"key": "***"}


def test_outputs_are_listed_and_downloaded_also_of_a_failure(client, tmp_path):
    artifacts(client, {"dist/a": b"content of a", "/etc/b": b"b"}, state="FAILED", code=1)
    values = context()
    with pytest.raises(SandboxFailed):
        execute(SandboxOperator(task_id="job", command="true", outputs=["dist", "/etc/b"], outputs_dir=str(tmp_path)), values)
    assert [(entry["path"], entry["size"]) for entry in values["ti"].pushed["outputs"]] == [("dist/a", 12), ("/etc/b", 1)]
    assert (tmp_path / "dist" / "a").read_bytes() == b"content of a"
    assert (tmp_path / "_absolute" / "etc" / "b").read_bytes() == b"b"


def test_an_output_leaves_its_folder_by_no_name_and_no_link(client, tmp_path):
    (tmp_path / "link").symlink_to("/etc")
    for path in ("../x", "a/../../x", "link/x"):
        artifacts(client, {path: b"evil"})
        with pytest.raises(BadResult):
            run(SandboxOperator(task_id="job", command="true", outputs=["x"], outputs_dir=str(tmp_path)), ti_id=path)


def test_on_kill_cancels_what_runs(client, monkeypatch):
    killed = []
    monkeypatch.setattr(sandbox, "cancel_within", lambda seconds, settings, task_id, key: killed.append((task_id, keys.key_string(key))))
    SandboxOperator(task_id="idle", command="true").on_kill()
    assert killed == []
    operator = SandboxOperator(task_id="job", command="true")
    client.renew_lease = lambda ids: operator.on_kill()  # while the command is followed
    run(operator)
    assert killed == [("task0", "airflow/COMMAND/dag/run/job/-1/1")]


def test_a_kill_before_the_answer_cancels_by_key(client, monkeypatch):
    killed = []
    monkeypatch.setattr(sandbox, "cancel_within", lambda seconds, settings, task_id, key: killed.append((task_id, keys.key_string(key))))
    operator = SandboxOperator(task_id="job", command="true")
    client.on_submit = lambda task: (operator.on_kill(), end(task, "CANCELLED", "CANCELLED"))
    with pytest.raises(SandboxFailed):
        run(operator)
    assert killed == [("", "airflow/COMMAND/dag/run/job/-1/1")]


def test_cancelling_raises_nothing(monkeypatch):
    from boxkeeper.client import ConnectionSettings

    connect.cancel_within(0.2, ConnectionSettings("unix:/nowhere/socket"), "task", None)


def test_the_lease_outlives_the_way_to_the_next_try(client):
    delay = datetime.timedelta(minutes=7)
    run(SandboxOperator(task_id="a", command="true", retries=2, retry_delay=delay), task_id="a", max_tries=2)
    run(SandboxOperator(task_id="b", command="true", retries=0), task_id="b", max_tries=0)
    run(SandboxOperator(task_id="c", command="true", lease=datetime.timedelta(seconds=30)), task_id="c")
    run(SandboxOperator(task_id="d", command="true", retries=3, retry_delay=delay, retry_exponential_backoff=True,
                        max_retry_delay=datetime.timedelta(minutes=9)), task_id="d", try_number=3, max_tries=3)
    assert [spec.lease.ttl.seconds for spec in client.specs] == [300 + 420 + 300, 300, 30, 300 + 540 + 300]
    assert set(client.renewed) == {"task0", "task1", "task2", "task3"}


def test_the_trigger_says_that_the_time_is_over(client):
    task = client.add(_spec("job"))
    end(task, "CANCELLED", "CANCELLED")
    operator = SandboxOperator(task_id="job", command="true", execution_timeout=datetime.timedelta(seconds=5))
    event = {"status": "timeout", "message": "", "task_id": task.id, "adopted": False, "lease": 60.0}
    with pytest.raises(AirflowTaskTimeout, match="execution_timeout of 0:00:05"):
        operator.execute_complete(context(), event)


def test_a_command_that_ended_in_time_after_all_counts(client):
    task = client.add(_spec("job"))
    end(task)
    event = {"status": "timeout", "message": "", "task_id": task.id, "adopted": False, "lease": 60.0}
    assert SandboxOperator(task_id="job", command="true").execute_complete(context(), event) is None


def test_a_task_that_the_daemon_has_forgotten_is_not_said_to_run(client):
    event = {"status": "ended", "message": "", "task_id": "gone", "adopted": False, "lease": 60.0}
    with pytest.raises(AirflowException, match="does not know task gone any more"):
        SandboxOperator(task_id="job", command="true").execute_complete(context(), event)


def test_a_deferrable_one_waits_in_the_triggerer_and_not_for_what_has_ended(client):
    client.on_submit = lambda task: None
    operator = SandboxOperator(task_id="job", command="true", deferrable=True, retries=3)
    with pytest.raises(TaskDeferred) as deferred:
        run(operator)
    path, arguments = deferred.value.trigger.serialize()
    assert path.endswith("SandboxTrigger") and (arguments["task_id"], arguments["adopted"], arguments["deadline"]) == ("task0", False, None)
    end(client.tasks[0])
    assert run(operator, try_number=2) == (None, {}) and len(client.specs) == 1


def test_a_trigger_that_lost_the_daemon_may_be_tried_again(client):
    event = {"status": "error", "message": "gone", "task_id": "task0", "adopted": False, "lease": 60.0}
    with pytest.raises(AirflowException, match="gone"):
        SandboxOperator(task_id="job", command="true").execute_complete(context(), event)


def _spec(task_id):
    from boxkeeper.client import specs

    return specs.make_spec(keys.make_key(task_id, namespace="airflow", group="dag", run="run"), shell="true")
