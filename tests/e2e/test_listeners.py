"""How clients reach the daemon: unix socket, TLS with client certificates, bearer tokens; health and metrics over HTTP."""

import os
import signal
import stat

import grpc
import pytest

from tests.harness import certificates, processes
from tests.harness.client import end, spec
from tests.harness.daemon import Daemon
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import until


def _code(client):
    """Status code of a harmless call; None if it was answered."""
    try:
        client.call(client.executor.GetCapacity, executor_pb2.GetCapacityRequest(), seconds=5, wait=False)
    except grpc.RpcError as error:
        return error.code()
    return None


def _grpc_port(daemon):
    """The TCP port that is not the HTTP one."""
    ports = processes.listening_ports(daemon.process.pid)
    assert len(ports) == 2, ports
    for port in ports:
        client = daemon.connect(f"127.0.0.1:{port}")
        if _code(client) in (None, grpc.StatusCode.UNAUTHENTICATED):
            return port
    raise AssertionError(f"no gRPC port among {ports}")


def _tls_port(daemon, credentials):
    for port in processes.listening_ports(daemon.process.pid):
        if _code(daemon.connect(f"127.0.0.1:{port}", credentials=credentials)) is None:
            return port
    return None


def test_the_unix_socket_is_private(daemon):
    mode = os.stat(daemon.socket).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
    assert end(daemon.client.run(spec(argv=["true"])))[0] == "SUCCEEDED"


def test_a_socket_file_left_by_a_killed_daemon_is_no_obstacle(daemon):
    daemon.restart()
    assert daemon.client.health() == 1


def test_tcp_wants_a_token_where_tokens_are_configured():
    with Daemon() as daemon:
        tokens = os.path.join(daemon.folder, "tokens")
        with open(tokens, "w", encoding="utf-8") as file:
            file.write("# people\nfirst-token-1234\nsecond-token-5678\n")
        os.chmod(tokens, 0o600)
        daemon.configure({"server": {"listen": ["127.0.0.1:0", f"unix:{daemon.socket}"], "auth": {"tokens_file": tokens}}})
        daemon.start()
        target = f"127.0.0.1:{_grpc_port(daemon)}"
        assert _code(daemon.connect(target)) == grpc.StatusCode.UNAUTHENTICATED
        assert _code(daemon.connect(target, token="wrong-token-0000")) == grpc.StatusCode.UNAUTHENTICATED
        assert _code(daemon.connect(target, token="first-token-1234")) is None
        assert _code(daemon.connect(target, token="second-token-5678")) is None
        with open(tokens, "w", encoding="utf-8") as file:  # the first one is revoked
            file.write("second-token-5678\n")
        daemon.kill(signal.SIGHUP)
        revoked = daemon.connect(target, token="first-token-1234")
        until(lambda: _code(revoked) == grpc.StatusCode.UNAUTHENTICATED, "the revoked token is refused")
        assert _code(daemon.connect(target, token="second-token-5678")) is None
        assert "token-" not in daemon.log_text()


def test_tls_wants_a_client_certificate_of_our_authority():
    with Daemon() as daemon:
        folder = os.path.join(daemon.folder, "tls")
        os.mkdir(folder)
        ca = certificates.authority(folder)
        certificates.authority(folder, "stranger")
        server_cert, server_key = certificates.certificate(folder, "server")
        daemon.configure({"server": {"listen": ["0.0.0.0:0", f"unix:{daemon.socket}"],
                                     "tls": {"cert_file": server_cert, "key_file": server_key, "client_ca_file": ca}}})
        daemon.start()

        def credentials(name, issuer="ca"):
            cert, key = certificates.certificate(folder, name, issuer)
            return grpc.ssl_channel_credentials(certificates.read(ca), certificates.read(key), certificates.read(cert))

        good = credentials("client")
        port = until(lambda: _tls_port(daemon, good), "the TLS port")
        target = f"127.0.0.1:{port}"
        assert _code(daemon.connect(target)) == grpc.StatusCode.UNAVAILABLE  # no TLS
        anonymous = grpc.ssl_channel_credentials(certificates.read(ca))
        assert _code(daemon.connect(target, credentials=anonymous)) == grpc.StatusCode.UNAVAILABLE
        assert _code(daemon.connect(target, credentials=credentials("thief", "stranger"))) == grpc.StatusCode.UNAVAILABLE
        client = daemon.connect(target, credentials=good)
        assert end(client.run(spec(argv=["true"])))[0] == "SUCCEEDED"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_http_says_that_it_is_healthy_and_ready(shared, path):
    status, _ = shared.http(path)
    assert status == 200


def test_metrics_count_what_happened(shared):
    before = shared.metric("boxkeeper_task_ends_total")
    shared.client.run(spec(argv=["true"]))
    shared.client.run(spec(argv=["false"]))
    assert shared.metric("boxkeeper_task_ends_total") == before + 2
    status, text = shared.http("/metrics")
    assert status == 200
    for name in ("boxkeeper_tasks", "boxkeeper_submits_total", "boxkeeper_loop_lag_seconds", "boxkeeper_store_commit_seconds",
                 "boxkeeper_ready", "boxkeeper_live_sandboxes"):
        assert f"# TYPE {name} " in text, name
    assert shared.http("/no/such/page")[0] == 404


def test_reflection_lists_the_services(shared):
    # ServerReflectionRequest{list_services: ""}: field 7, empty text.
    call = shared.client.channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                                               request_serializer=lambda data: data, response_deserializer=lambda data: data)
    answer = next(call(iter([b"\x3a\x00"]), timeout=20))
    for service in (b"boxkeeper.v1.Executor", b"boxkeeper.v1.Admin", b"grpc.health.v1.Health"):
        assert service in answer
