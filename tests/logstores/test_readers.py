"""Logs in the schedulers' own layouts, read by the schedulers' own readers while they grow, on a real S3 server."""

import pytest

from tests.harness import reader_venv, s3_servers, servers
from tests.harness.client import spec
from tests.harness.daemon import Daemon
from tests.harness.gate import Gate
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import until
from tests.logstores import airflow_golden
from tests.logstores.reader import Reader

LOG_COMPLETE = executor_pb2.WaitTaskRequest.LOG_COMPLETE
_PATH = "dag_id=d/run_id=r/task_id=t/attempt=1.log"


try:
    reader_venv.python()
except servers.Unavailable as _why:
    pytest.skip(str(_why), allow_module_level=True)


@pytest.fixture(scope="module")
def server():
    """A real S3 server."""
    with s3_servers.any_server() as running:
        yield running


def test_airflow_shows_what_is_recorded(server):
    """The everyday tests rely on it: logs/testing/airflow_golden_test.cc."""
    with Reader(server, "airflow_reader.py") as reader:
        assert airflow_golden.record(server, reader) == airflow_golden.recorded()


def _daemon(server, prefix, **more):
    logs = {"url": f"s3://{server.bucket}/{prefix}", "s3": {"endpoint": server.endpoint, "path_style": True}, **more}
    return Daemon({"logs": logs}, environment=server.environment())


# What the task prints in turn, a pass of the gate before each: text, a record of Airflow's own with a traceback, standard error.
_PARTS = [
    ('echo "out $n"; echo again; echo again', lambda n: [f"out {n}", "again", "again"]),
    ("""printf '{"timestamp": "%s", "level": "error", "event": "own %s"}\\n' "$(date -u +%Y-%m-%dT%H:%M:%S.%6NZ)" $n; """
     'echo "Traceback of $n"; echo "  indented"', lambda n: [f"own {n}", f"Traceback of {n}", "  indented"]),
    ('echo "err $n" >&2', lambda n: [f"err {n}"]),
]


@pytest.mark.parametrize("separate", [False, True])
def test_airflow_shows_a_growing_log_in_order(server, separate):
    base = f"airflow-{separate}"
    with _daemon(server, base) as daemon, Reader(server, "airflow_reader.py") as reader:
        client, gate = daemon.start().client, Gate(daemon.folder)

        def shown(running=True):
            question = {"base": f"s3://{server.bucket}/{base}", "path": _PATH, "running": running, "separate": separate}
            return [event for event, _, _ in reader.ask(question)]

        override = {"log": {"layout": "airflow", "path": _PATH}}
        before, expected = [], []
        for generation in range(2):  # a rescheduled try writes to the same path
            first = generation * 3
            parts = "; ".join(f"{gate.wait}; {text}" for text, _ in _PARTS)
            task_id = client.submit(spec(shell=f"n={first}; while [ $n -lt {first + 3} ]; do {parts}; n=$((n+1)); done",
                                         override=override))
            for step in range(first, first + 3):
                for _, events in _PARTS:
                    gate.open()
                    expected += events(step)
                    until(lambda: shown()[-1:] == expected[-1:] and len(shown()) == len(expected), f"{expected[-1]} shown live")
                    now = shown()
                    assert now[:len(before)] == before  # what was shown stays where it was
                    assert now == expected
                    before = now
                if step == first + 1:
                    daemon.kill()
                    daemon.start()
                    client = daemon.client
            client.wait(task_id, LOG_COMPLETE)
        assert shown(running=False) == expected


@pytest.mark.parametrize("separate", [False, True])
def test_airflow_shows_lines_that_are_not_stored_yet(server, separate):
    """Stored pieces and the executor's answer, as the api-server puts them together, while the store lags."""
    base = f"live-{separate}"
    with _daemon(server, base, flush_interval="500ms", flush_interval_max="2s") as daemon, Reader(server, "airflow_reader.py") as reader:
        client, gate = daemon.start().client, Gate(daemon.folder)
        shell = "; ".join(f"n={n}; {gate.wait}; {text}" for n in range(12) for text, _ in _PARTS) + f"; {gate.wait}; exit 3"
        task_id = client.submit(spec(shell=shell, override={"log": {"layout": "airflow", "path": _PATH}}))
        rests = []

        def rest():
            rests.append(client.log(task_id, unstored=True).decode())
            return rests[-1]

        def shown():
            question = {"base": f"s3://{server.bucket}/{base}", "path": _PATH, "running": True, "separate": separate, "live": True}
            events = [event for event, _, _ in reader.ask(question, rest)]
            assert all(events.count(event) <= expected.count(event) for event in events), f"doubled: {events}, {rests[-1]}"
            return events

        expected = []
        for number in range(12):
            for _, events in _PARTS:
                expected += events(number)
                gate.open()
                until(lambda: shown() == expected, f"{expected[-1]} shown live")
        assert any(rests) and not all(rests), "some were stored, some not"
        gate.open()
        client.wait(task_id, LOG_COMPLETE)
        expected.append("FAILED/EXIT_CODE: exited with code 3")
        assert shown() == expected and not rests[-1]


def test_metaflow_tails_a_growing_log(server):
    with _daemon(server, "mf") as daemon:
        client, gate = daemon.start().client, Gate(daemon.folder)
        path = "Flow/1/start/2/0"
        line = "printf '[MFLOG|0|%sZ|task|id%s]line %s\\n'"
        shell = (f"n=0; while [ $n -lt 40 ]; do {gate.wait}; {line} \"$(date -u +%Y-%m-%dT%H:%M:%S.%6N)\" $n $n; printf 'half'; "
                 f"{gate.wait}; echo \" $n\"; n=$((n+1)); done")
        task_id = client.submit(spec(shell=shell, override={"log": {"layout": "metaflow", "path": path}}))
        with Reader(server, "metaflow_reader.py", f"s3://{server.bucket}/mf/{path}/stdout") as reader:
            seen, expected = [], []

            def grown():
                lines, bytes_read = reader.ask(None)
                seen.extend(lines)
                return len("".join(seen)), bytes_read

            for step in range(40):
                gate.open()
                expected.append(f"line {step}")
                if step % 10 == 0:
                    until(lambda: grown() and len(seen) == len(expected), f"line {step} seen live")
                    assert seen == expected
                if step == 20:
                    daemon.kill()
                    daemon.start()
                    client = daemon.client
                gate.open()
                expected.append(f"half {step}\n")
            task = client.wait(task_id, LOG_COMPLETE)
            _, bytes_read = grown()
            assert seen == expected
            assert bytes_read == task.log.stdout_bytes
