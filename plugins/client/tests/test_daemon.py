"""The client and a real daemon mean the same."""

import os
import signal

import pytest

from boxkeeper.client import ConnectionSettings, errors, keys, names, specs, task_filter
from boxkeeper.v1 import executor_pb2
from tests.harness import certificates, processes
from tests.harness.daemon import Daemon
from tests.harness.waiting import until

_HOSTILE = ["a/b", "..", ".", "%2F", "ä€𝄞", "a b+c&d=e?#", "\u200b~", "x" * 170, "'\"\\`$(id)", "-", "_", "%", "{{ ds }}", "manual__2026-01-01T00:00:00+00:00"]
_KINDS = ["TASK", "CALLBACK", "STEP", "COMMAND"]


def _hostile_keys(tag):
    for number, text in enumerate(_HOSTILE):
        other = _HOSTILE[-number]
        yield keys.make_key(text, namespace=tag + other, kind=_KINDS[number % 4], group=other, run=text, index=number - 1, try_number=number)
        yield keys.make_key(text, namespace=tag)


def test_keys_are_written_as_the_daemon_writes_them(real):
    batch = [specs.make_spec(key, argv=["true"]) for key in _hostile_keys(os.urandom(4).hex())]
    results = real.submit_tasks(batch)
    assert [r.outcome for r in results] == [executor_pb2.SubmitResult.ACCEPTED] * len(batch), results
    for spec, result in zip(batch, results):
        task = real.get_task(result.id)
        assert task.key_string == keys.key_string(spec.key) == keys.key_string(task.key)
        assert keys.parse_key(task.key_string) == task.key
        assert real.get_task(key=task.key_string).id == real.get_task(key=spec.key).id == result.id
        assert [t.id for t in real.list_tasks(task_filter(key_prefix=task.key_string))] == [result.id]
    real.wait([r.id for r in results])


def test_a_task_from_its_submission_to_its_outputs(real):
    blob = real.put_blob(b"from a blob\n")
    key = keys.make_key("job", namespace=os.urandom(4).hex())
    spec = specs.make_spec(key, shell="cat in blob; echo oops >&2; echo $SECRET | wc -c; echo done > out; exit 3", owner=key.namespace,
                           files=[specs.make_file("in", "from a file\n"), specs.make_file("blob", blob=blob.sha256)],
                           secrets={"SECRET": "hunter22"}, override={"outputs": ["out"]}, labels={"who": "me"})
    accepted = real.submit(spec)
    assert real.submit(spec).id == accepted.id and real.put_blob(b"from a blob\n").existed
    [task] = real.wait([accepted.id], until="LOG_COMPLETE", timeout=60)
    assert names.describe_end(task).startswith("FAILED/EXIT_CODE") and task.exit_code == 3
    assert b"".join(c.data for c in real.read_log(task.id, follow=True)) == b"from a file\nfrom a blob\n9\n"
    assert b"".join(c.data for c in real.read_log(task.id, "STDERR")) == b"oops\n"
    assert b"".join(c.data for c in real.read_log(task.id, tail_lines=1)) == b"9\n"
    assert [a.path for a in real.list_artifacts(task.id).artifacts] == ["out"]
    assert b"".join(real.read_artifact("out", key=key)) == b"done\n"
    assert [t.id for t in real.list_tasks(task_filter(labels={"who": "me"}, owner=key.namespace, states=["FAILED"]))] == [task.id]
    events = list(real.watch_events(key.namespace, follow=False))
    assert [names.state_name(e.task.state) for e in events if names.event_name(e.type) == "STATE"] == [
        "QUEUED", "CREATING", "STARTING", "RUNNING", "FAILED"]
    real.ack_events(key.namespace, events[-1].cursor)
    assert list(real.watch_events(key.namespace, follow=False)) == []
    [adopted] = real.adopt_tasks(key.namespace + "-2", keys=[key])
    assert adopted.outcome == executor_pb2.AdoptResult.TERMINAL and adopted.task.id == task.id


def test_refusals_of_a_real_daemon_have_their_types(real):
    with pytest.raises(errors.NotFound) as missing:
        real.get_task("nothing")
    assert missing.value.reason == "TASK_NOT_FOUND"
    with pytest.raises(errors.Rejected) as rejected:
        real.submit(specs.make_spec(keys.make_key(""), shell="true", override={"cpuu": 1}, secrets={"1": "hunter22"}))
    fields = {violation.field for violation in rejected.value.violations}
    assert {"key.name", "sandbox_override.cpuu", "secrets"} <= fields and "hunter22" not in str(rejected.value)
    with pytest.raises(errors.InvalidRequest) as cursor:
        next(real.watch_events("me", "nonsense"))
    assert cursor.value.reason == "INVALID_CURSOR"
    key = keys.make_key("forever", namespace=os.urandom(4).hex())
    first = real.submit(specs.make_spec(key, argv=["tail", "-f", "/dev/null"]))
    with pytest.raises(errors.AlreadyLive) as live:
        real.submit(specs.make_spec(key, argv=["true"]))
    assert live.value.task_id == first.id
    with pytest.raises(errors.FailedPrecondition):
        real.list_artifacts(first.id)
    with pytest.raises(errors.WaitTimeout):
        real.wait([first.id], timeout=0.05)
    [cancelled] = real.cancel_tasks(keys=[key], force=True)
    assert cancelled.id == first.id
    [task] = real.wait([first.id])
    assert names.state_name(task.state) == "CANCELLED"


def test_more_tasks_than_one_request_takes(real):
    tag = os.urandom(4).hex()
    batch = [specs.make_spec(keys.make_key(f"job-{i}", namespace=tag), argv=["true"], override={"env": {"A": "x" * 9000}}) for i in range(1100)]
    results = real.submit_tasks(batch, validate_only=True)  # nothing is run: 10 MB and more than 1 000 items
    assert {r.outcome for r in results} == {executor_pb2.SubmitResult.ACCEPTED} and len(results) == 1100
    assert list(real.list_tasks(task_filter(key_prefix=tag))) == []


def test_events_logs_and_waits_go_on_through_kill_and_restart(connect):
    with Daemon() as daemon:
        client = connect(ConnectionSettings(f"unix:{daemon.start().socket}"))
        fifo = os.path.join(daemon.folder, "fifo")
        os.mkfifo(fifo)
        accepted = client.submit(specs.make_spec(keys.make_key("job"), shell=f"echo one; cat {fifo}; echo two", owner="me"))
        events, log = client.watch_events("me"), client.read_log(accepted.id, follow=True)
        seen = []
        while not seen or names.state_name(seen[-1].task.state) != "RUNNING":
            seen.append(next(events))
        assert next(log).data == b"one\n"
        daemon.restart()
        with open(fifo, "w", encoding="utf-8") as file:
            file.write("between\n")
        [task] = client.wait([accepted.id], until="LOG_COMPLETE", timeout=60)
        assert names.succeeded(task)
        assert b"".join(chunk.data for chunk in log) == b"between\ntwo\n"
        while names.event_name(seen[-1].type) != "LOG_COMPLETE":
            seen.append(next(events))
        assert [names.state_name(e.task.state) for e in seen if names.event_name(e.type) == "STATE"] == [
            "QUEUED", "CREATING", "STARTING", "RUNNING", "SUCCEEDED"]
        assert len({event.cursor for event in seen}) == len(seen)
        events.close()


def _open_port(daemon, answers):
    """The TCP port at which `answers(port)` is true."""
    return until(lambda: next((p for p in processes.listening_ports(daemon.process.pid) if answers(p)), None), "a gRPC port")


def _reason(client):
    try:
        client.get_capacity(timeout=5)
    except errors.RpcFailed as error:
        return error.reason or error.code
    return "OK"


def test_a_token_from_a_file_that_is_replaced(connect, tmp_path):
    with Daemon() as daemon:
        tokens = os.path.join(daemon.folder, "tokens")
        with open(tokens, "w", encoding="utf-8") as file:
            file.write("first-token-1234\n")
        os.chmod(tokens, 0o600)
        daemon.configure({"server": {"listen": ["127.0.0.1:0", f"unix:{daemon.socket}"], "auth": {"tokens_file": tokens}}})
        daemon.start()

        def client(port, **fields):
            return connect(ConnectionSettings(f"127.0.0.1:{port}", max_attempts=1, **fields))

        port = _open_port(daemon, lambda p: _reason(client(p)) == "TOKEN_MISSING")
        assert _reason(client(port, token="wrong-token-0000")) == "TOKEN_INVALID"
        own = tmp_path / "token"
        own.write_text("first-token-1234\n")
        lasting = client(port, token_file=str(own))
        assert _reason(lasting) == "OK"
        with open(tokens, "w", encoding="utf-8") as file:
            file.write("second-token-5678\n")
        daemon.kill(signal.SIGHUP)
        until(lambda: _reason(lasting) == "TOKEN_INVALID", "the revoked token is refused")
        own.write_text("second-token-5678")
        assert _reason(lasting) == "OK"


def test_tls_with_and_without_a_client_certificate(connect):
    with Daemon() as daemon:
        folder = os.path.join(daemon.folder, "tls")
        os.mkdir(folder)
        ca, other = certificates.authority(folder), certificates.authority(folder, "other")
        certificate, key = certificates.certificate(folder, "server")
        own, own_key = certificates.certificate(folder, "client")
        stranger, stranger_key = certificates.certificate(folder, "stranger", issuer="other")
        daemon.configure({"server": {"listen": ["127.0.0.1:0", f"unix:{daemon.socket}"],
                                     "tls": {"cert_file": certificate, "key_file": key, "client_ca_file": ca}}})
        daemon.start()

        def reason(port, **fields):
            return _reason(connect(ConnectionSettings(f"localhost:{port}", max_attempts=1, **fields)))

        port = _open_port(daemon, lambda p: reason(p, ca_file=ca, cert_file=own, key_file=own_key) == "OK")
        assert reason(port, ca_file=ca) == "UNAVAILABLE"
        assert reason(port, ca_file=ca, cert_file=stranger, key_file=stranger_key) == "UNAVAILABLE"
        assert reason(port, ca_file=other, cert_file=own, key_file=own_key) == "UNAVAILABLE"
        assert reason(port, tls=True) == "UNAVAILABLE"  # no authority of the system's
        assert reason(port) == "UNAVAILABLE"
