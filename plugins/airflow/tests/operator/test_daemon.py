"""SandboxOperator and @task.sandbox in this process, with a real daemon: what the fake client cannot vouch for."""

import json

import pytest
from fakes import context

from airflow.sdk import DAG
from boxkeeper.airflow.commands.compat import AirflowFailException, AirflowSkipException
from boxkeeper.airflow.commands.outcome import SandboxFailed
from boxkeeper.airflow.commands.results import read_output
from boxkeeper.airflow.decorators.sandbox import sandbox_task
from boxkeeper.airflow.hooks.sandbox import SandboxHook
from boxkeeper.airflow.operators.sandbox import SandboxOperator


@pytest.fixture(autouse=True)
def connection(monkeypatch, daemon):
    monkeypatch.setenv("AIRFLOW_CONN_BOXKEEPER_DEFAULT", json.dumps({"conn_type": "boxkeeper", "host": f"unix:{daemon.socket}"}))


@pytest.fixture
def shown(monkeypatch):
    """The lines that an operator shows."""
    lines = []
    monkeypatch.setattr(SandboxOperator, "_show", lambda self, line: lines.append(line))
    return lines


@pytest.fixture
def execute(request):
    """Executes an operator under a name of the test's own; returns (value, XComs pushed)."""
    def run(operator, **arguments):
        values = context(**{"task_id": request.node.name, **arguments})
        operator.render_template_fields(values)
        return type(operator).execute.__wrapped__(operator, values), values["ti"].pushed

    return run


def test_every_mistake_of_an_override_is_told_and_it_is_not_tried_again(execute):
    operator = SandboxOperator(task_id="t", command="true", cpu=-1, sandbox_override={"imag": "x", "memory": 5, "grace": "5"})
    with pytest.raises(AirflowFailException) as failure:
        execute(operator)
    text = str(failure.value)
    assert "sandbox_override.imag: unknown key, did you mean 'image'?" in text
    assert "sandbox_override.memory:" in text and "sandbox_override.grace:" in text and "sandbox_override.cpu:" in text
    assert "nothing was run" in text


def test_arguments_reach_the_sandbox(execute, shown, tmp_path):
    (tmp_path / "large").write_bytes(b"x" * 200_000)
    operator = SandboxOperator(
        task_id="t", command="cat a/b.txt; ./run.sh; wc -c < large; echo $DAY; echo $1 >&2", timeout=60, env={"DAY": "{{ ds }}"},
        files={"a/b.txt": "content\n", "run.sh": {"content": "#!/bin/sh\necho script", "mode": 0o755}, "large": tmp_path / "large"})
    value, _ = execute(operator)
    assert value == "2026-01-02" and [line for line in shown if line] == ["content", "script", "200000", "2026-01-02"]


@pytest.mark.parametrize("lang", ["sh", "bash", "python"])
def test_scripts(execute, lang):
    body = {"sh": "echo $((6 * 7))", "bash": "a=(1 42); echo ${a[1]}", "python": "print(6 * 7)"}[lang]
    assert execute(SandboxOperator(task_id="t", script=body, script_lang=lang))[0] == "42"


def test_secrets_are_there_and_are_not_shown(execute, shown, daemon):
    operator = SandboxOperator(
        task_id="t", secrets={"A": "secret-value-a", "B": {"env": "BK_TEST_SECRET"}}, secret_files={"key.pem": "secret-value-c\n"},
        command="echo $(printf %s $A | wc -c) $(printf %s $B | wc -c) $(wc -c < key.pem) $(stat -c %a key.pem); echo $A $B $(cat key.pem); echo \"{\\\"a\\\": \\\"$A\\\"}\" > r.json",
        xcom_file="r.json")
    value, _ = execute(operator)
    assert shown == ["14 20 15 400", f"{'*' * 14} {'*' * 20} {'*' * 15}"] and value == {"a": "***"}
    (task,) = daemon.client.list(key_prefix="airflow/COMMAND/dag/run/test_secrets")
    assert "secret-value" not in str(task) and list(task.secret_names) == ["A", "B"]


def test_a_secret_as_the_last_line_is_no_xcom(execute):
    assert execute(SandboxOperator(task_id="t", command="echo key=$A", secrets={"A": "secret-value-a"}))[0] == "key=" + "*" * 14


def test_outputs_stay_at_the_daemon_and_can_be_read(execute, tmp_path):
    operator = SandboxOperator(task_id="t", command="mkdir -p dist/sub; echo one > dist/a; echo two > dist/sub/b; exit 3",
                               outputs=["dist", "nothing"], outputs_dir=str(tmp_path))
    values = context(task_id="outputs")
    with pytest.raises(SandboxFailed, match="exited with code 3"):
        SandboxOperator.execute.__wrapped__(operator, values)
    entries = values["ti"].pushed["outputs"]
    assert [(entry["path"], entry["size"]) for entry in entries] == [("dist/a", 4), ("dist/sub/b", 4)]
    assert (tmp_path / "dist" / "sub" / "b").read_text() == "two\n"
    with SandboxHook().get_conn() as client:
        assert read_output(client, entries[1]) == b"two\n"


def test_skip(execute):
    with pytest.raises(AirflowSkipException):
        execute(SandboxOperator(task_id="t", command="exit 99", skip_on_exit_code=[99]))


def test_a_timeout_of_the_sandbox(execute):
    with pytest.raises(SandboxFailed, match="ran longer than its timeout of 0.300s") as failure:
        execute(SandboxOperator(task_id="t", command="sleep 60", timeout=0.3, sandbox_override={"grace": "0s"}))
    assert failure.value.reason == "RUN_TIMEOUT"


def test_a_program_that_is_not_there(execute):
    with pytest.raises(SandboxFailed, match="the command could not be started"):
        execute(SandboxOperator(task_id="t", command=["no-such-program"]))


def test_long_lines_and_bytes_that_are_no_text(execute, shown):
    value, _ = execute(SandboxOperator(task_id="t", script="import sys; sys.stdout.buffer.write(b'y' * 40000 + b'\\n\\xff\\n')",
                                       script_lang="python"))
    assert [len(line) for line in shown] == [16384, 16384, 7232, 1] and value == "\ufffd"


def test_the_same_try_in_another_life_takes_the_key_over(execute, daemon):
    """dag.test() runs a DAG anew under the same run id: the key is the same, the task instance is not."""
    assert execute(SandboxOperator(task_id="t", command="echo one"), ti_id="first")[0] == "one"
    assert execute(SandboxOperator(task_id="t", command="echo two"), ti_id="second")[0] == "two"


def decorated(function, *args, **kwargs):
    """The operator of one call of a @task.sandbox function."""
    options = kwargs.pop("options", {})
    with DAG("decorated", schedule=None):
        return sandbox_task(function, **options)(*args, **kwargs).operator


def test_a_function_runs_where_there_is_no_airflow(execute, shown):
    def compute(x, y=2, *, ds=None, params=None):
        import sys

        print("text with # no comment", "airflow" in sys.modules)
        return {"sum": x + y, "ds": ds, "params": params, "list": [1, None, "ä"]}

    value, pushed = execute(decorated(compute, 40))
    assert value == {"sum": 42, "ds": "2026-01-02", "params": {"p": 1}, "list": [1, None, "ä"]} and pushed == {}
    assert shown == ["text with # no comment False"]


def test_a_function_that_fails_shows_its_traceback(execute, shown):
    def fails():
        raise KeyError("of the function")

    with pytest.raises(SandboxFailed, match="exited with code 1"):
        execute(decorated(fails))
    assert "KeyError: 'of the function'" in shown


def test_a_function_may_leave_outputs_and_skip(execute):
    def works():
        import sys

        with open("note.txt", "w") as file:
            file.write("note")
        sys.exit(4)

    operator = decorated(works, options={"outputs": ["note.txt"], "skip_on_exit_code": 4})
    values = context(task_id="leaves")
    with pytest.raises(AirflowSkipException):
        SandboxOperator.execute.__wrapped__(operator, values)
    assert [entry["path"] for entry in values["ti"].pushed["outputs"]] == ["note.txt"]


def test_what_is_no_json_is_named(execute, shown):
    def echo(x, y):
        return {1, 2}

    with pytest.raises(AirflowFailException, match="arguments travel as JSON, and these are none: argument 0, 'y'"):
        execute(decorated(echo, b"bytes", y=object()))
    with pytest.raises(SandboxFailed):
        execute(decorated(echo, 1, y=2))
    assert shown == ["@task.sandbox: what echo returned is no JSON: Object of type set is not JSON serializable"]


@pytest.mark.parametrize("options", [{"command": "true"}, {"xcom_file": "x"}])
def test_what_a_function_cannot_have(options):
    def nothing():
        pass

    with pytest.raises(TypeError, match="@task.sandbox takes no"):
        decorated(nothing, options=options)


def test_functions_that_cannot_travel():
    def generates():
        yield 1

    for function, words in ((lambda: 1, "made by def"), (generates, "without yield or async")):
        with pytest.raises(TypeError, match=words):
            decorated(function, options={"task_id": "t"})
